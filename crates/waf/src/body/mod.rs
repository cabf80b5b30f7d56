//! Bodies taken apart: forms, multipart, JSON and XML to names and values, within bounds.

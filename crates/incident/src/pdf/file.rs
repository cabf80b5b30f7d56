//! Sheets as a file: pages, tags, bookmarks, links, fonts and what the file says of itself.
//!
//! Never asks what time it is: a report is the same file each time.

use pdf_writer::types::{
    ActionType, AnnotationFlags, AnnotationType, ListNumbering, OutlineItemFlags, PageMode, StructRole, TabOrder,
};
use pdf_writer::{Date, Filter, Finish as _, Name, Pdf, Rect, Ref, TextStr};

use super::packed;
use super::sheet::{Bookmark, HEIGHT, Kid, LEFT, Link, Sheets, Tag, WIDTH};
use crate::chart::escape;
use crate::content::Content;
use crate::moment::rfc3339;
use crate::report::Report;

const LANGUAGE: &str = "en";

/// References of everything that others refer to.
struct Refs {
    next: i32,
    catalog: Ref,
    tree: Ref,
    root: Ref,
    pages: Vec<Ref>,
    tags: Vec<Ref>,
    /// Of each page.
    links: Vec<Vec<Ref>>,
    regular: [Ref; 5],
    bold: [Ref; 5],
}

impl Refs {
    fn new(sheets: &Sheets) -> Self {
        let mut next = 1;
        let mut one = || {
            next += 1;
            Ref::new(next - 1)
        };
        let (catalog, tree, root) = (one(), one(), one());
        let pages = sheets.pages.iter().map(|_| one()).collect();
        let tags = sheets.tags.iter().map(|_| one()).collect();
        let links = sheets.pages.iter().map(|page| page.links.iter().map(|_| one()).collect()).collect();
        let (regular, bold) = ([(); 5].map(|()| one()), [(); 5].map(|()| one()));
        Self { next, catalog, tree, root, pages, tags, links, regular, bold }
    }

    fn one(&mut self) -> Ref {
        self.next += 1;
        Ref::new(self.next - 1)
    }
}

pub(super) fn write(sheets: &Sheets, content: &Content, report: &Report) -> Result<Vec<u8>, String> {
    let (mut pdf, mut refs) = (Pdf::new(), Refs::new(sheets));
    let (outline, metadata, info) = (refs.one(), refs.one(), refs.one());
    pages(&mut pdf, sheets, &mut refs);
    tags(&mut pdf, sheets, &mut refs);
    bookmarks(&mut pdf, &sheets.bookmarks, outline, &mut refs);
    about(&mut pdf, content, report, info, metadata);
    sheets.regular.write(&mut pdf, refs.regular)?;
    sheets.bold.write(&mut pdf, refs.bold)?;
    let mut catalog = pdf.catalog(refs.catalog);
    catalog.pages(refs.tree).outlines(outline).metadata(metadata).page_mode(PageMode::UseOutlines);
    catalog.lang(TextStr(LANGUAGE));
    catalog.mark_info().marked(true);
    catalog.viewer_preferences().display_doc_title(true);
    catalog.pair(Name(b"StructTreeRoot"), refs.root);
    catalog.finish();
    Ok(pdf.finish())
}

fn pages(pdf: &mut Pdf, sheets: &Sheets, refs: &mut Refs) {
    let all = i32::try_from(sheets.pages.len()).unwrap_or(i32::MAX);
    pdf.pages(refs.tree).kids(refs.pages.iter().copied()).count(all);
    let mut key = all;
    for (number, sheet) in sheets.pages.iter().enumerate() {
        let content = refs.one();
        let mut page = pdf.page(refs.pages[number]);
        page.parent(refs.tree).media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT)).contents(content);
        page.struct_parents(number as i32).tab_order(TabOrder::StructureOrder);
        if !sheet.links.is_empty() {
            page.annotations(refs.links[number].iter().copied());
        }
        let mut resources = page.resources();
        resources.fonts().pair(Name(b"R"), refs.regular[0]).pair(Name(b"B"), refs.bold[0]);
        resources.finish();
        page.finish();
        let bytes = packed(sheet.content.as_bytes());
        pdf.stream(content, &bytes).filter(Filter::FlateDecode);
        for (link, reference) in sheet.links.iter().zip(&refs.links[number]) {
            click(pdf, link, *reference, key, sheets, refs);
            key += 1;
        }
    }
}

fn click(pdf: &mut Pdf, link: &Link, reference: Ref, key: i32, sheets: &Sheets, refs: &Refs) {
    let mut annotation = pdf.annotation(reference);
    annotation.subtype(AnnotationType::Link).rect(link.bounds).struct_parent(key).flags(AnnotationFlags::PRINT);
    annotation.contents(TextStr(&format!("To {}", link.to))).border(0.0, 0.0, 0.0, None);
    if let Some((page, y)) = sheets.places.get(&link.to) {
        let mut action = annotation.action();
        action.action_type(ActionType::GoTo);
        action.destination().page(refs.pages[*page]).xyz(LEFT, *y, None);
    }
}

/// The tree, and of each mark and link the tag that it belongs to.
fn tags(pdf: &mut Pdf, sheets: &Sheets, refs: &mut Refs) {
    for (number, tag) in sheets.tags.iter().enumerate() {
        element(pdf, tag, refs.tags[number], refs);
    }
    let mut parents: Vec<(i32, Ref)> = Vec::new();
    for (number, page) in sheets.pages.iter().enumerate() {
        let owners = refs.one();
        pdf.indirect(owners).array().items(page.owners.iter().map(|tag| refs.tags[*tag]));
        parents.push((number as i32, owners));
    }
    for link in sheets.pages.iter().flat_map(|page| &page.links) {
        parents.push((parents.len() as i32, refs.tags[link.tag]));
    }
    let mut root = pdf.indirect(refs.root).dict();
    root.pair(Name(b"Type"), Name(b"StructTreeRoot")).pair(Name(b"K"), refs.tags[0]);
    root.pair(Name(b"ParentTreeNextKey"), parents.len() as i32);
    let mut tree = root.insert(Name(b"ParentTree")).dict();
    let mut entries = tree.insert(Name(b"Nums")).array();
    for (key, parent) in parents {
        entries.item(key).item(parent);
    }
}

fn element(pdf: &mut Pdf, tag: &Tag, reference: Ref, refs: &Refs) {
    let mut element = pdf.struct_element(reference);
    element.kind(tag.role).parent(tag.parent.map_or(refs.root, |parent| refs.tags[parent]));
    if let Some(alt) = &tag.alt {
        element.alt(TextStr(alt));
    }
    if let Some(scope) = tag.scope {
        element.attributes().push().table().scope(scope);
    }
    if tag.span > 1 {
        element.attributes().push().table().col_span(tag.span as i32);
    }
    if let Some(bounds) = tag.bounds {
        element.attributes().push().layout().bbox(bounds);
    }
    if tag.role == StructRole::L {
        element.attributes().push().list().list_numbering(ListNumbering::Disc);
    }
    let mut kids = element.children();
    for kid in &tag.kids {
        match *kid {
            Kid::Tag(tag) => {
                kids.struct_element(refs.tags[tag]);
            }
            Kid::Mark { page, mark } => {
                kids.marked_content_ref().page(refs.pages[page]).marked_content_id(mark);
            }
            Kid::Link { page, link } => {
                kids.object_ref().page(refs.pages[page]).object(refs.links[page][link]);
            }
        }
    }
}

/// Bookmarks as deep as headings; what is deepest is folded away.
fn bookmarks(pdf: &mut Pdf, all: &[Bookmark], outline: Ref, refs: &mut Refs) {
    let own: Vec<Ref> = all.iter().map(|_| refs.one()).collect();
    let parent_of = |at: usize| (0..at).rev().find(|before| all[*before].level < all[at].level);
    let parents: Vec<Option<usize>> = (0..all.len()).map(parent_of).collect();
    let children = |of: Option<usize>| -> Vec<usize> {
        (0..all.len()).filter(|at| parents[*at] == of && Some(*at) != of).collect()
    };
    for (at, bookmark) in all.iter().enumerate() {
        let siblings = children(parents[at]);
        let place = siblings.iter().position(|sibling| *sibling == at).unwrap_or_default();
        let inner = children(Some(at));
        let mut item = pdf.outline_item(own[at]);
        item.title(TextStr(&bookmark.title)).parent(parents[at].map_or(outline, |parent| own[parent]));
        if let Some(before) = place.checked_sub(1) {
            item.prev(own[siblings[before]]);
        }
        if let Some(next) = siblings.get(place + 1) {
            item.next(own[*next]);
        }
        if let (Some(first), Some(last)) = (inner.first(), inner.last()) {
            let count = inner.len() as i32;
            item.first(own[*first]).last(own[*last]).count(if bookmark.level == 1 { count } else { -count });
        }
        item.flags(OutlineItemFlags::empty());
        item.dest().page(refs.pages[bookmark.page]).xyz(LEFT, bookmark.y, None);
    }
    let top = children(None);
    let mut root = pdf.outline(outline);
    if let (Some(first), Some(last)) = (top.first(), top.last()) {
        let seen = all.iter().filter(|bookmark| bookmark.level < 3).count();
        root.first(own[*first]).last(own[*last]).count(seen as i32);
    }
}

/// Title, author and time, as old readers and as new ones look for them.
fn about(pdf: &mut Pdf, content: &Content, report: &Report, info: Ref, metadata: Ref) {
    let at = rfc3339(report.written_millis);
    let author = report.organisation.name.as_str();
    let mut document = pdf.document_info(info);
    document.title(TextStr(&content.title)).producer(TextStr("Portcullis")).creation_date(date(&at));
    if !author.is_empty() {
        document.author(TextStr(author));
    }
    document.finish();
    let author = match author {
        "" => String::new(),
        name => format!("<dc:creator><rdf:Seq><rdf:li>{}</rdf:li></rdf:Seq></dc:creator>", escape(name)),
    };
    let packet = format!(
        "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\
         <x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\
         <rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\" \
         xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\" xmlns:pdf=\"http://ns.adobe.com/pdf/1.3/\">\
         <dc:title><rdf:Alt><rdf:li xml:lang=\"x-default\">{}</rdf:li></rdf:Alt></dc:title>{author}\
         <dc:language><rdf:Bag><rdf:li>{LANGUAGE}</rdf:li></rdf:Bag></dc:language>\
         <xmp:CreateDate>{at}</xmp:CreateDate><pdf:Producer>Portcullis</pdf:Producer>\
         </rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end=\"r\"?>",
        escape(&content.title)
    );
    pdf.metadata(metadata, packet.as_bytes());
}

/// A time of RFC 3339 in UTC.
fn date(at: &str) -> Date {
    let part =
        |from: usize, until: usize| at.get(from..until).and_then(|digits| digits.parse::<u16>().ok()).unwrap_or(0);
    let byte = |from: usize| part(from, from + 2) as u8;
    Date::new(part(0, 4))
        .month(byte(5))
        .day(byte(8))
        .hour(byte(11))
        .minute(byte(14))
        .second(byte(17))
        .utc_offset_hour(0)
        .utc_offset_minute(0)
}

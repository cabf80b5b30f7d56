//! A font that the file carries along: which letters it has, how wide they are, and the part of it that is used.
//!
//! Never drops a letter: one that the font lacks, or that nobody would see, is written as `\u{1f600}`.

use std::collections::BTreeMap;

use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Filter, Finish as _, Name, Pdf, Rect, Ref, Str};
use subsetter::GlyphRemapper;

use super::packed;
use crate::evidence::is_hostile;

/// How a glyph is named in the file: by its number in the part of the font that is carried along.
const SYSTEM: SystemInfo<'static> = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

pub(super) struct Face {
    name: &'static str,
    bytes: &'static [u8],
    parsed: ttf_parser::Face<'static>,
    used: GlyphRemapper,
    /// What each glyph that is used stands for, and its width in thousandths.
    glyphs: BTreeMap<u16, (char, f32)>,
}

impl Face {
    pub(super) fn new(name: &'static str, bytes: &'static [u8]) -> Result<Self, String> {
        let parsed = ttf_parser::Face::parse(bytes, 0).map_err(|error| format!("{name}: {error}"))?;
        Ok(Self { name, bytes, parsed, used: GlyphRemapper::new(), glyphs: BTreeMap::new() })
    }

    /// The letters that stand for `text`.
    pub(super) fn letters(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '\n' | '\r' | '\t' => out.push(' '),
                c if !is_hostile(c) && self.parsed.glyph_index(c).is_some() => out.push(c),
                c => out.extend(c.escape_unicode()),
            }
        }
        out
    }

    /// The width of a letter of this size, in points.
    pub(super) fn width(&self, c: char, size: f32) -> f32 {
        self.thousandths(self.parsed.glyph_index(c).unwrap_or_default()) * size / 1000.0
    }

    pub(super) fn width_of(&self, text: &str, size: f32) -> f32 {
        text.chars().map(|c| self.width(c, size)).sum()
    }

    /// The text as the file has it.
    pub(super) fn encode(&mut self, text: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 * text.len());
        for c in text.chars() {
            let glyph = self.parsed.glyph_index(c).unwrap_or_default();
            let place = self.used.remap(glyph.0);
            let width = self.thousandths(glyph);
            self.glyphs.entry(place).or_insert((c, width));
            out.extend(place.to_be_bytes());
        }
        out
    }

    fn thousandths(&self, glyph: ttf_parser::GlyphId) -> f32 {
        f32::from(self.parsed.glyph_hor_advance(glyph).unwrap_or_default()) * self.scale()
    }

    fn scale(&self) -> f32 {
        1000.0 / f32::from(self.parsed.units_per_em())
    }

    /// Writes what is used of it under the first of five references.
    pub(super) fn write(&self, pdf: &mut Pdf, refs: [Ref; 5]) -> Result<(), String> {
        let [font, descendant, descriptor, letters, file] = refs;
        let part = subsetter::subset(self.bytes, 0, &self.used).map_err(|error| format!("{}: {error}", self.name))?;
        // Six letters say that it is a part; it is the only part of this font in the file.
        let name = format!("PORTCU+{}", self.name);
        let name = Name(name.as_bytes());
        pdf.type0_font(font)
            .base_font(name)
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(descendant)
            .to_unicode(letters);
        let mut cid = pdf.cid_font(descendant);
        cid.subtype(CidFontType::Type2)
            .base_font(name)
            .system_info(SYSTEM)
            .font_descriptor(descriptor)
            .cid_to_gid_map_predefined(Name(b"Identity"));
        let missing = self.thousandths(ttf_parser::GlyphId(0));
        let last = self.glyphs.keys().next_back().copied().unwrap_or_default();
        cid.widths()
            .consecutive(0, (0..=last).map(|place| self.glyphs.get(&place).map_or(missing, |(_, width)| *width)));
        cid.finish();
        let (scale, bounds) = (self.scale(), self.parsed.global_bounding_box());
        let [x1, y1, x2, y2] =
            [bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max].map(|side| f32::from(side) * scale);
        pdf.font_descriptor(descriptor)
            .name(name)
            .flags(FontFlags::SYMBOLIC)
            .bbox(Rect::new(x1, y1, x2, y2))
            .italic_angle(0.0)
            .ascent(f32::from(self.parsed.ascender()) * scale)
            .descent(f32::from(self.parsed.descender()) * scale)
            .cap_height(f32::from(self.parsed.capital_height().unwrap_or_else(|| self.parsed.ascender())) * scale)
            .stem_v(if self.parsed.is_bold() { 140.0 } else { 80.0 })
            .font_file2(file);
        let mut map = UnicodeCmap::new(Name(b"Letters"), SYSTEM);
        for (place, (c, _)) in &self.glyphs {
            map.pair(*place, *c);
        }
        let map = packed(&map.finish());
        pdf.cmap(letters, &map).filter(Filter::FlateDecode);
        let length = i32::try_from(part.len()).map_err(|_| "a font is too long".to_owned())?;
        let part = packed(&part);
        pdf.stream(file, &part).filter(Filter::FlateDecode).pair(Name(b"Length1"), length);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_font_lacks_is_written_out_and_danish_is_not() {
        let face = Face::new("NotoSans", ttf_noto_sans::REGULAR).expect("a font");
        let table = [
            ("Rødgrød med fløde, Å – “ja”…", "Rødgrød med fløde, Å – “ja”…"),
            ("a\u{202e}b\u{200b}c", "a\\u{202e}b\\u{200b}c"),
            ("中\u{1f600}", "\\u{4e2d}\\u{1f600}"),
            ("one\ttwo\nthree", "one two three"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
        ];
        for (text, letters) in table {
            assert_eq!(face.letters(text), letters);
        }
    }
}

//! Pictures: their size from their first bytes, and only then their pixels.
//!
//! PNG and JPEG are read by GTK itself; SVG by librsvg, where its loader for gdk-pixbuf is installed ([`drawing`]). Nothing else
//! is tried: what a file is called does not matter, what it begins with does.

use gtk4::gdk_pixbuf::{InterpType, Pixbuf};
use gtk4::{cairo, gdk, glib, prelude::*};

use super::drawing::{self, Place};

/// Largest file.
pub(crate) const BYTES: u64 = 16 * 1024 * 1024;

/// Longest edge, in pixels.
const EDGE: u32 = 16_384;

/// Most pixels: 96 MB while it is being read. 5K has 14.7 million.
pub(crate) const PIXELS: u64 = 24_000_000;

/// A picture this much larger than its place is made smaller, and its memory given back.
const LARGER: f64 = 1.25;

/// What a file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// PNG or JPEG of this width and height.
    Pixels(u32, u32),
    /// Drawn at any size.
    Drawing,
}

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PictureError {
    /// Another format, or none.
    #[error("neither PNG, JPEG nor SVG")]
    Kind,
    /// More than the greeter may hold in memory.
    #[error("{0}×{1} pixels are too many: at most 24 million, and 16384 on an edge")]
    Large(u32, u32),
    /// No loader for SVG.
    #[error("SVG cannot be read here: install librsvg2-common, or put a PNG of the same name beside it")]
    NoDrawings,
    /// A drawing of too much.
    #[error("it takes more than {} s to draw, or comes after one that does", drawing::TIME.as_secs())]
    Slow,
    /// Broken.
    #[error("{0}")]
    Broken(String),
}

/// What a file is, from its first bytes.
pub(crate) fn kind(bytes: &[u8]) -> Result<Kind, PictureError> {
    let (width, height) = if let Some(rest) = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n") {
        // Length and name of the first chunk, which is the header (PNG section 11.2.1).
        (number(rest, 8, 4), number(rest, 12, 4))
    } else if bytes.starts_with(b"\xff\xd8") {
        jpeg(bytes).unwrap_or_default()
    } else if is_svg(bytes) {
        return Ok(Kind::Drawing);
    } else {
        return Err(PictureError::Kind);
    };
    if width == 0 || height == 0 {
        return Err(PictureError::Broken("no size: the file is broken".to_owned()));
    }
    if width > EDGE || height > EDGE || u64::from(width) * u64::from(height) > PIXELS {
        return Err(PictureError::Large(width, height));
    }
    Ok(Kind::Pixels(width, height))
}

/// A big-endian number; 0 where there are too few bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> u32 {
    bytes.get(at..at + length).unwrap_or_default().iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte))
}

/// Width and height from the frame header (ITU T.81, B.2.2).
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut rest = bytes.get(2..)?;
    loop {
        let (&[0xff, marker], after) = rest.split_first_chunk()? else { return None };
        match marker {
            // Fill bytes before a marker.
            0xff => rest = rest.get(1..)?,
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Some((number(after, 5, 2), number(after, 3, 2)));
            }
            0x01 | 0xd0..=0xd7 => rest = after,
            _ => rest = after.get(usize::try_from(number(after, 0, 2)).ok()?.max(2)..)?,
        }
    }
}

fn is_svg(bytes: &[u8]) -> bool {
    let start = bytes.get(..bytes.len().min(1024)).unwrap_or_default();
    let start = String::from_utf8_lossy(start);
    let start = start.trim_start_matches('\u{feff}').trim_start();
    start.starts_with("<svg")
        || start.starts_with("<?xml") && start.contains("<svg")
        || start.starts_with("<!--") && start.contains("<svg")
}

/// Whether SVG can be read here.
pub(crate) fn reads_drawings() -> bool {
    Pixbuf::formats().iter().any(|format| format.name().as_deref() == Some("svg"))
}

/// The picture, large enough to cover `width` × `height` pixels if it is a drawing, and not much larger than that.
///
/// As cairo draws it: GTK's software drawing converts the whole of a texture for each frame, be it of a blinking cursor.
pub(crate) fn cover(bytes: &[u8], width: i32, height: i32) -> Result<cairo::ImageSurface, PictureError> {
    let texture = read(bytes, Place::Cover(width, height))?;
    let broken = |what: String| PictureError::Broken(what);
    let mut surface = cairo::ImageSurface::create(cairo::Format::ARgb32, texture.width(), texture.height())
        .map_err(|error| broken(error.to_string()))?;
    let stride = usize::try_from(surface.stride()).unwrap_or_default();
    texture.download(&mut surface.data().map_err(|error| broken(error.to_string()))?, stride);
    Ok(surface)
}

/// The picture in its own size, at most `edge` pixels high and wide.
pub(crate) fn fit(bytes: &[u8], edge: i32) -> Result<gdk::Texture, PictureError> {
    read(bytes, Place::Within(edge))
}

fn read(bytes: &[u8], place: Place) -> Result<gdk::Texture, PictureError> {
    let broken = |error: glib::Error| PictureError::Broken(error.message().to_owned());
    if kind(bytes)? == Kind::Drawing {
        return drawing::draw(bytes, place);
    }
    let texture = gdk::Texture::from_bytes(&glib::Bytes::from(bytes)).map_err(broken)?;
    let wanted = place.scale(texture.width(), texture.height());
    if wanted <= 0.0 || wanted * LARGER > 1.0 {
        return Ok(texture);
    }
    let (width, height) = (scaled(texture.width(), wanted), scaled(texture.height(), wanted));
    Ok(smaller(&texture, width, height).unwrap_or(texture))
}

/// A length in another scale, within what a picture may have.
#[allow(clippy::cast_possible_truncation)] // Both are below EDGE.
pub(super) fn scaled(length: i32, by: f64) -> i32 {
    (f64::from(length) * by).ceil().clamp(1.0, f64::from(EDGE)) as i32
}

fn smaller(texture: &gdk::Texture, width: i32, height: i32) -> Option<gdk::Texture> {
    let stride = usize::try_from(texture.width()).ok()? * 4;
    let mut pixels = vec![0; stride * usize::try_from(texture.height()).ok()?];
    texture.download(&mut pixels, stride);
    // GDK's memory order is that of cairo, blue first, and alpha is multiplied in; scaling does not mind.
    let large = Pixbuf::from_mut_slice(
        pixels,
        gtk4::gdk_pixbuf::Colorspace::Rgb,
        true,
        8,
        texture.width(),
        texture.height(),
        i32::try_from(stride).ok()?,
    );
    let small = large.scale_simple(width, height, InterpType::Bilinear)?;
    let stride = usize::try_from(small.rowstride()).ok()?;
    let format = gdk::MemoryFormat::B8g8r8a8Premultiplied;
    Some(gdk::MemoryTexture::new(width, height, format, &small.read_pixel_bytes(), stride).upcast())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG's beginning with this size.
    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes
    }

    #[test]
    fn size_and_kind_come_from_the_first_bytes() {
        assert_eq!(kind(&png(1920, 1080)), Ok(Kind::Pixels(1920, 1080)));
        let jpeg = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc0\x00\x11\x08\x01\x02\x03\x04";
        assert_eq!(kind(jpeg), Ok(Kind::Pixels(0x304, 0x102)));
        for drawing in ["<svg/>", "<?xml version='1.0'?>\n<svg>", "\u{feff} <svg>", "<!-- by me -->\n<svg>"] {
            assert_eq!(kind(drawing.as_bytes()), Ok(Kind::Drawing), "{drawing}");
        }
        assert_eq!(kind(include_bytes!("../../../../../themes/default/background.png")), Ok(Kind::Pixels(960, 600)));
    }

    #[test]
    fn what_is_too_large_or_broken_is_never_decoded() {
        for (width, height) in [(60_000, 60_000), (16_385, 1), (u32::MAX, u32::MAX), (8_000, 8_000)] {
            assert_eq!(kind(&png(width, height)), Err(PictureError::Large(width, height)));
        }
        for bytes in [&b"GIF89a"[..], b"", b"<html>", b"#!/bin/sh", b"/* XPM */"] {
            assert_eq!(kind(bytes), Err(PictureError::Kind));
        }
        for bytes in
            [&b"\x89PNG\r\n\x1a\n"[..], &png(0, 1), b"\xff\xd8", b"\xff\xd8\xff\xe0\0\0", b"\xff\xd8\xff\xe0\xff\xff"]
        {
            assert!(matches!(kind(bytes), Err(PictureError::Broken(_))), "{bytes:?}");
        }
    }
}

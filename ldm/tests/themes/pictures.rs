//! What is seen of a background: for each shape of monitor its picture, cropped in the middle and never stretched.

use gtk4::gdk_pixbuf::{Colorspace, Pixbuf};
use gtk4::glib::Bytes;

use super::*;

type Colour = [u8; 3];

const GROUND: Colour = [255, 0, 0];
const DISC: Colour = [0, 0, 255];
const SIDE: Colour = [0, 255, 0];
const EDGE: Colour = [255, 255, 0];

/// A picture of 16:9, with a disc in the middle, a strip at each side and one along the upper and the lower edge.
const WIDTH: i32 = 1600;
const HEIGHT: i32 = 900;
const RADIUS: i32 = 300;
const STRIP: i32 = 60;

fn drawn(x: i32, y: i32) -> Colour {
    let (right, down) = (x - WIDTH / 2, y - HEIGHT / 2);
    if right * right + down * down < RADIUS * RADIUS {
        DISC
    } else if !(STRIP..WIDTH - STRIP).contains(&x) {
        SIDE
    } else if !(STRIP..HEIGHT - STRIP).contains(&y) {
        EDGE
    } else {
        GROUND
    }
}

/// A PNG of this size.
fn png(width: i32, height: i32, colour: impl Fn(i32, i32) -> Colour) -> Vec<u8> {
    let colour = &colour;
    let pixels: Vec<u8> = (0..height).flat_map(|y| (0..width).flat_map(move |x| colour(x, y))).collect();
    let picture = Pixbuf::from_bytes(&Bytes::from_owned(pixels), Colorspace::Rgb, false, 8, width, height, width * 3);
    picture.save_to_bufferv("png", &[]).unwrap()
}

/// The greeter lets through what is behind it: each place still looks most like the colour that is there.
const GLASS: &[u8] = b"#bar, #hint, #tools { opacity: 0; }
    #card, #card * { background: none; box-shadow: none; outline: none; border-color: transparent; }
    #card * { color: rgba(255, 255, 255, 0.3); }\n";

/// Which of these colours each place of a theme's picture has, for a monitor of this size.
fn seen(screen: &Screen, theme: &TempDir, size: (i32, i32), all: &[Colour], places: &[(i32, i32)]) -> Vec<Colour> {
    let (bytes, log) = screen.picture(path(theme), &["--size", &format!("{}x{}", size.0, size.1)]);
    assert_eq!(log, "", "{size:?}");
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("picture.png");
    std::fs::write(&file, bytes).unwrap();
    let picture = Pixbuf::from_file(&file).unwrap();
    assert_eq!((picture.width(), picture.height()), size);
    let pixels = picture.read_pixel_bytes();
    let at = |&(x, y): &(i32, i32)| {
        let place = usize::try_from(y * picture.rowstride() + x * picture.n_channels()).unwrap();
        let pixel = pixels.get(place..place + 3).unwrap();
        let apart = |colour: &&Colour| -> u32 {
            colour.iter().zip(pixel).map(|(one, other)| u32::from(one.abs_diff(*other)).pow(2)).sum()
        };
        *all.iter().min_by_key(apart).unwrap()
    };
    places.iter().map(at).collect()
}

#[test]
fn a_background_is_cropped_in_the_middle_and_not_stretched() {
    let picture = png(WIDTH, HEIGHT, drawn);
    let theme = folder(&[("theme.ini", b"background = w.png\nlogo =\n"), ("w.png", &picture), ("style.css", GLASS)]);
    let Some(screen) = Screen::new("1200x1000") else { return };
    // The monitor, the disc's radius there, and what lies at its sides and along its edges.
    for (size, radius, side, edge) in [
        ((500, 900), 300, DISC, EDGE),
        ((800, 600), 200, GROUND, EDGE),
        ((600, 1000), 333, DISC, EDGE),
        ((1200, 500), 225, SIDE, GROUND),
        ((1120, 630), 210, SIDE, EDGE),
    ] {
        let (middle, half) = (size.0 / 2, size.1 / 2);
        let mut places = Vec::new();
        let mut want = Vec::new();
        for (distance, colour) in [(radius - 6, DISC), (radius + 6, GROUND)] {
            // Also at 45°, where both directions count.
            let slant = distance * 1000 / 1414;
            let around =
                [(distance, 0), (-distance, 0), (0, distance), (0, -distance), (slant, slant), (-slant, -slant)];
            let around = around.map(|(right, down)| (middle + right, half + down));
            // What is cut off cannot be seen.
            let inside = |&(x, y): &(i32, i32)| x >= 0 && y >= 0 && x < size.0 && y < size.1;
            let around: Vec<_> = around.into_iter().filter(inside).collect();
            assert!(around.len() >= 4, "{size:?}");
            want.extend(around.iter().map(|_| colour));
            places.extend(around);
        }
        places.extend([(2, half), (size.0 - 3, half), (middle, 2), (middle, size.1 - 3)]);
        want.extend([side, side, edge, edge]);
        let found = seen(&screen, &theme, size, &[GROUND, DISC, SIDE, EDGE], &places);
        let wrong = places.iter().zip(found).zip(want).filter(|((_, found), want)| found != want);
        let wrong: Vec<_> = wrong.collect();
        assert!(wrong.is_empty(), "{size:?}: place, colour there and colour wanted: {wrong:?}");
    }
}

#[test]
fn each_shape_of_monitor_has_its_own_picture() {
    let (any, wide, narrow, portrait) = ([255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]);
    let of = |width, height, colour: Colour| png(width, height, move |_, _| colour);
    let manifest = "background = any.png\nbackground-16x9 = wide.png\nbackground-4x3 = narrow.png\n\
                    background-portrait = portrait.png\nlogo =\n";
    let theme = folder(&[
        ("theme.ini", manifest.as_bytes()),
        ("style.css", GLASS),
        ("any.png", &of(160, 100, any)),
        ("wide.png", &of(160, 90, wide)),
        ("narrow.png", &of(120, 90, narrow)),
        ("portrait.png", &of(90, 160, portrait)),
    ]);
    let Some(screen) = Screen::new("1280x1024") else { return };
    for (size, want) in [
        ((1280, 800), any),
        ((1280, 720), wide),
        ((1024, 768), narrow),
        ((1280, 1024), narrow),
        ((576, 1024), portrait),
    ] {
        let corners = [(0, 0), (size.0 - 1, 0), (0, size.1 - 1), (size.0 - 1, size.1 - 1)];
        let found = seen(&screen, &theme, size, &[any, wide, narrow, portrait], &corners);
        assert_eq!(found, [want; 4], "{size:?}");
    }
}

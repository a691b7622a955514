//! What needs no display of the theme in use.

use super::*;

#[test]
fn the_shipped_manifests_are_right() {
    let themes = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../themes");
    for name in ["default", "dark", "high-contrast", "school"] {
        let folder = Folder::open(&themes.join(name)).unwrap();
        let (manifest, errors, remarks) = manifest_of(&folder);
        assert!(errors.is_empty() && remarks.is_empty(), "{name}: {errors:?} {remarks:?}");
        assert!(!manifest.name.is_empty(), "{name}");
        style::check(&folder).unwrap();
        for slot in manifest.backgrounds.iter().chain([&manifest.logo]) {
            let mut remarks = Vec::new();
            picture_file(&folder, slot, &mut remarks).unwrap();
            assert!(remarks.is_empty(), "{name}: {remarks:?}");
        }
    }
}

#[test]
fn the_picture_is_chosen_of_which_least_is_cut_off() {
    let shapes = |sizes: &[(f64, &str)]| -> Vec<Background> {
        sizes
            .iter()
            .map(|(shape, name)| Background { shape: *shape, shown: (*name).to_owned(), ..built_in_background() })
            .collect()
    };
    let look = |backgrounds| Look { backgrounds, ..Look::bare() };
    let all = look(shapes(&[(1.6, "any"), (16.0 / 9.0, "wide"), (4.0 / 3.0, "narrow"), (9.0 / 16.0, "portrait")]));
    for (width, height, want) in [
        (1920, 1080, "wide"),
        (1920, 1200, "any"),
        (1024, 768, "narrow"),
        (1280, 1024, "narrow"),
        (1080, 1920, "portrait"),
        (3440, 1440, "wide"),
    ] {
        assert_eq!(all.best(width, height).unwrap().1.shown, want, "{width}×{height}");
    }
    assert!(look(Vec::new()).best(800, 600).is_none());
}

//! What is meant by a language where no country is named: the same in the greeter, which offers it, and in the daemon, which
//! decides what the session gets.

/// Where the territory is not spelled like the language.
const TERRITORIES: &[(&str, &str)] = &[
    ("ar", "EG"),
    ("bn", "BD"),
    ("bs", "BA"),
    ("ca", "ES"),
    ("cs", "CZ"),
    ("da", "DK"),
    ("el", "GR"),
    ("en", "US"),
    ("et", "EE"),
    ("eu", "ES"),
    ("fa", "IR"),
    ("ga", "IE"),
    ("gl", "ES"),
    ("he", "IL"),
    ("hi", "IN"),
    ("ja", "JP"),
    ("ko", "KR"),
    ("nb", "NO"),
    ("nn", "NO"),
    ("sl", "SI"),
    ("sr", "RS"),
    ("sv", "SE"),
    ("uk", "UA"),
    ("vi", "VN"),
    ("zh", "CN"),
];

/// The territory that most people expect who choose this language alone: `de` means `de_DE`, `ja` means `ja_JP`.
pub fn territory(language: &str) -> String {
    let own = TERRITORIES.iter().find(|(of, _)| *of == language).map(|(_, territory)| *territory);
    own.map_or_else(|| language.to_ascii_uppercase(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_has_a_country_of_its_own() {
        for (language, want) in [("de", "DE"), ("ja", "JP"), ("nb", "NO"), ("hi", "IN"), ("xx", "XX"), ("", "")] {
            assert_eq!(territory(language), want);
        }
        assert!(TERRITORIES.is_sorted_by(|(one, _), (next, _)| one < next), "twice, or hard to find");
    }
}

//! What was perhaps meant by a name that does not exist.

/// The one of `known` that differs from `name` in no more than a third of its letters, and least.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.chars().count() / 3).clamp(1, 4);
    let near = known.into_iter().map(|other| (distance(name, other), other));
    near.filter(|(distance, _)| *distance <= most).min().map(|(_, other)| other)
}

/// Letters to insert, remove, replace or swap with the next one.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, x) in a.chars().take(64).enumerate() {
        let mut next = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX / 2);
            let mut cost = (at(&row, j) + usize::from(x != y)).min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let swapped = j.checked_sub(1).filter(|&k| previous == Some(y) && b.get(k) == Some(&x));
            if let Some(k) = swapped {
                cost = cost.min(at(&before, k) + 1);
            }
            next.push(cost);
        }
        before = std::mem::replace(&mut row, next);
        previous = Some(x);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_recognised_and_nothing_else() {
        let known = ["background", "logo", "layout"];
        for (name, want) in
            [("backgruond", Some("background")), ("loga", Some("logo")), ("layuot", Some("layout")), ("exec", None)]
        {
            assert_eq!(nearest(name, known), want, "{name}");
        }
    }
}

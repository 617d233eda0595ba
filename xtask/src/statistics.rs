/// The value that the given share of all values, in hundredths, does not exceed; nothing when there are none.
pub(crate) fn percentile<T: Ord + Copy>(values: &[T], share: usize) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    // The nearest rank, counted from one.
    let rank = (sorted.len() * share).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// The value in the middle.
pub(crate) fn median<T: Ord + Copy>(values: &[T]) -> Option<T> {
    percentile(values, 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u32> = (1..=20).rev().collect();
        assert_eq!(median(&values), Some(10));
        assert_eq!(percentile(&values, 95), Some(19));
        assert_eq!(percentile(&values, 100), Some(20));
        assert_eq!(median(&[7]), Some(7));
        assert_eq!(percentile::<u32>(&[], 95), None);
    }
}

//! The polynomial by which restic cuts files into chunks: irreducible over GF(2), of degree 53, and another in each repository,
//! as the lengths of chunks would otherwise tell what is in them. (restic's design, “Backups and Deduplication”.)
//!
//! A number stands for a polynomial: bit *n* is the coefficient of *x* to the *n*.

const DEGREE: u32 = 53;

/// The first irreducible one among numbers; every twenty-seventh candidate is one, by and large.
pub(super) fn first_among(mut numbers: impl FnMut() -> u64) -> u64 {
    loop {
        // With x as a factor, it would not be irreducible.
        let candidate = numbers() & ((1 << DEGREE) - 1) | 1 << DEGREE | 1;
        if is_irreducible(candidate) {
            return candidate;
        }
    }
}

/// Ben-Or's test: no irreducible polynomial of up to half the degree divides it. The product of all of them whose degree divides
/// *i* is x^(2^i) − x.
fn is_irreducible(polynomial: u64) -> bool {
    let mut power = 2;
    (1..=DEGREE / 2).all(|_| {
        power = product(power, power, polynomial);
        common(polynomial, power ^ 2) == 1
    })
}

/// The product of two, modulo a third of degree 53. Both are of lower degree.
fn product(one: u64, other: u64, modulus: u64) -> u64 {
    let mut sum = 0;
    for bit in (0..DEGREE).rev() {
        sum <<= 1;
        if sum >> DEGREE & 1 == 1 {
            sum ^= modulus;
        }
        if other >> bit & 1 == 1 {
            sum ^= one;
        }
    }
    sum
}

/// The greatest common divisor.
fn common(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        while one >= other || degree(one) == degree(other) {
            if degree(one) < degree(other) {
                break;
            }
            one ^= other << (degree(one) - degree(other));
            if one == 0 {
                return other;
            }
        }
        std::mem::swap(&mut one, &mut other);
    }
    one
}

/// The place of the highest bit; of a number that is not 0.
fn degree(polynomial: u64) -> u32 {
    63 - polynomial.leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_restic_itself_uses_is_irreducible_and_no_product_is() {
        // The polynomial in the documentation of restic's chunker.
        assert!(is_irreducible(0x003D_A335_8B4D_C173));
        assert!(!is_irreducible(0x003D_A335_8B4D_C173 ^ 0b11), "one of even weight has x + 1 as a factor");
        let times = |one: u64, other: u64| {
            (0..64).filter(|bit| other >> bit & 1 == 1).fold(0, |sum, bit| sum ^ one << bit)
        };
        // x^27 + … times x^26 + …, both without small factors to speak of.
        assert!(!is_irreducible(times(1 << 27 | 0b100111, 1 << 26 | 0b1000111)));
    }

    #[test]
    fn among_random_numbers_about_every_twenty_seventh_is_taken() {
        let (mut state, mut asked) = (1_u64, 0);
        let mut numbers = || {
            asked += 1;
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 7
        };
        for _ in 0..100 {
            let found = first_among(&mut numbers);
            assert_eq!((degree(found), found & 1), (DEGREE, 1));
        }
        assert!((1_500..4_500).contains(&asked), "{asked}");
    }
}

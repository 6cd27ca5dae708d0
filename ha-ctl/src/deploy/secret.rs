//! Passwords that nobody has to remember.

use std::io::Read as _;

use secrecy::SecretString;

use crate::exit::Failure;

/// Letters and digits alone: no shell and no configuration file needs quotes for them.
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const LENGTH: usize = 32;

/// A random password, from the kernel's generator.
///
/// # Errors
/// The kernel's generator cannot be read.
pub(super) fn random() -> Result<SecretString, Failure> {
    let mut bytes = [0; 8 * LENGTH];
    let file = std::fs::File::open("/dev/urandom");
    let read = file.and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| {
        Failure::failed(format!("could not make a password: /dev/urandom: {error}"))
    })?;
    Ok(password(&bytes).into())
}

/// Each letter is as likely as any other: bytes above the last whole round of the alphabet are left out.
fn password(bytes: &[u8]) -> String {
    let whole = 256 / LETTERS.len() * LETTERS.len();
    let fair = bytes.iter().map(|byte| usize::from(*byte));
    let fair = fair.filter(|byte| *byte < whole);
    fair.take(LENGTH)
        .map(|byte| char::from(LETTERS[byte % LETTERS.len()]))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_password_is_long_plain_and_another_each_time() {
        let (one, two) = (random().unwrap(), random().unwrap());
        assert_eq!(one.expose_secret().len(), LENGTH);
        assert!(
            one.expose_secret()
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric())
        );
        assert_ne!(one.expose_secret(), two.expose_secret());
    }

    #[test]
    fn no_letter_is_likelier_than_another() {
        assert_eq!(password(&[0, 61, 62, 247, 248, 255]), "A9A9");
    }
}

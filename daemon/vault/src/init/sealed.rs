//! How restic encrypts and signs: AES-256 in counter mode, and Poly1305-AES over the result. (restic's design, “Keys, Encryption
//! and MAC”.)

use aes::Aes256;
use aes::cipher::{BlockEncrypt as _, KeyInit as _, KeyIvInit as _, StreamCipher as _};
use poly1305::Poly1305;
use secrecy::zeroize::Zeroizing;
use subtle::ConstantTimeEq as _;

/// How many bytes a repository's or a password's keys have together.
pub(crate) const KEY_BYTES: usize = 64;

/// How many bytes begin every ciphertext.
pub(crate) const IV_BYTES: usize = 16;

/// The keys of a repository, or those that a password opens.
pub(crate) struct Keys(Zeroizing<[u8; KEY_BYTES]>);

impl Keys {
    /// From as many bytes as can be derived: encryption, then the two halves of the signature's.
    pub(crate) fn new(mut bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        // Poly1305 leaves these bits out (“clamping”), and restic expects that they are not set.
        let r = &mut bytes[48..];
        [3, 7, 11, 15].iter().for_each(|place| r[*place] &= 15);
        [4, 8, 12].iter().for_each(|place| r[*place] &= 252);
        Self(bytes)
    }

    pub(crate) fn encryption(&self) -> &[u8] {
        &self.0[..32]
    }

    /// The key of AES that makes a nonce of each IV.
    pub(crate) fn signature_k(&self) -> &[u8] {
        &self.0[32..48]
    }

    pub(crate) fn signature_r(&self) -> &[u8] {
        &self.0[48..]
    }

    /// IV, ciphertext, signature. An IV must serve once.
    pub(crate) fn seal(&self, iv: [u8; IV_BYTES], plain: &[u8]) -> Vec<u8> {
        let mut text = plain.to_vec();
        ctr::Ctr128BE::<Aes256>::new(self.encryption().into(), &iv.into()).apply_keystream(&mut text);
        let signature = self.sign(iv, &text);
        [&iv[..], &text, &signature].concat()
    }

    /// What was sealed; nothing where it was not sealed with these keys, or was changed since.
    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (iv, rest) = sealed.split_first_chunk::<IV_BYTES>()?;
        let (text, signature) = rest.split_last_chunk::<16>()?;
        if !bool::from(self.sign(*iv, text).ct_eq(signature)) {
            return None;
        }
        let mut text = text.to_vec();
        ctr::Ctr128BE::<Aes256>::new(self.encryption().into(), iv.into()).apply_keystream(&mut text);
        Some(text)
    }

    fn sign(&self, iv: [u8; IV_BYTES], text: &[u8]) -> [u8; 16] {
        let mut nonce = iv.into();
        aes::Aes128::new(self.signature_k().into()).encrypt_block(&mut nonce);
        let mut key = Zeroizing::new([0; 32]);
        key[..16].copy_from_slice(self.signature_r());
        key[16..].copy_from_slice(&nonce);
        Poly1305::new(key.as_slice().into()).compute_unpadded(text).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_opened_and_what_was_changed_is_not() {
        let keys = Keys::new(Zeroizing::new([7; KEY_BYTES]));
        let sealed = keys.seal([3; IV_BYTES], b"content");
        assert_eq!(keys.open(&sealed).unwrap(), b"content");
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(keys.open(&changed), None, "{place}");
        }
        assert_eq!(keys.open(&sealed[..31]), None);
        assert_eq!(Keys::new(Zeroizing::new([8; KEY_BYTES])).open(&sealed), None);
    }
}

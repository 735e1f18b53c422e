//! Reading values in D-Bus' wire format.

/// A message that is not as the specification has it.
#[derive(Debug, thiserror::Error)]
#[error("systemd's answer cannot be read: {0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// The bytes of a message or of its body, from where reading goes on.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn align(&mut self, boundary: usize) {
        self.at = self.at.next_multiple_of(boundary);
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(count).ok_or(Malformed("a length is beyond all bounds"))?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed("it ends too early"))?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.align(4);
        let bytes = self.take(4)?.try_into().map_err(|_| Malformed("it ends too early"))?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.u32()?).map_err(|_| Malformed("a length is beyond all bounds"))
    }

    /// A string, or the path of an object.
    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = self.length()?;
        self.text_of(length)
    }

    pub(super) fn signature(&mut self) -> Result<&'a str, Malformed> {
        let length = self.byte()?;
        self.text_of(length.into())
    }

    fn text_of(&mut self, length: usize) -> Result<&'a str, Malformed> {
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| Malformed("a text is not UTF-8"))?;
        self.byte()?;
        Ok(text)
    }

    /// An array whose elements begin at multiples of so many bytes; each is read by `element`.
    pub(super) fn array<T>(
        &mut self,
        boundary: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let length = self.length()?;
        self.align(boundary);
        let end = self.at.checked_add(length).ok_or(Malformed("a length is beyond all bounds"))?;
        let mut elements = Vec::new();
        while self.at < end {
            elements.push(element(self)?);
        }
        Ok(elements)
    }
}

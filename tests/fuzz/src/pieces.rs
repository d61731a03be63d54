//! How the bytes of an input are divided.

/// Takes the first byte as the size of pieces, 1 to 64 bytes, and its two lowest bits as a choice among four.
pub(crate) fn choice_and_size(data: &[u8]) -> Option<(u8, usize, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((first & 3, usize::from(first >> 2) + 1, rest))
}

/// Datagrams or frames: each starts with its length in two bytes, low byte first. The last may be shorter.
pub(crate) fn frames(data: &[u8]) -> Vec<&[u8]> {
    let mut rest = data;
    let mut frames = Vec::new();
    while let Some(([low, high], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (frame, others) = after.split_at(length);
        frames.push(frame);
        rest = others;
    }
    frames
}

/// The input that [`frames`] divides into these.
pub(crate) fn joined(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut data = Vec::new();
    for frame in frames {
        let length = u16::try_from(frame.len()).expect("samples are small");
        data.extend(length.to_le_bytes());
        data.extend(frame);
    }
    data
}

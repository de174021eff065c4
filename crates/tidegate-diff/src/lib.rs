//! Structured merge diff, three-way diff, ignore rules, secret masking.

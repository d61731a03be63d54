#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kr_fuzz::bfd_packets(data));

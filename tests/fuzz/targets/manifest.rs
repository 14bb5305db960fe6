#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| modularbase_fuzz::manifest::read(bytes));

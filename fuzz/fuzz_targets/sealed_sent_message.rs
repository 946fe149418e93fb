#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sprag_testkit::fuzz::sealed_sent_message(input));

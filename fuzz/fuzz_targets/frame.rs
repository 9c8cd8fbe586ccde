//! See `hsm_fuzz::frame`.
#![cfg_attr(fuzzing, no_main)]

hsm_fuzz::target!(frame);

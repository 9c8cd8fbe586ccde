//! See `hsm_fuzz::key_block`.
#![cfg_attr(fuzzing, no_main)]

hsm_fuzz::target!(key_block);

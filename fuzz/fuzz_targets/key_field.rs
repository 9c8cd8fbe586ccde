//! See `hsm_fuzz::key_field`.
#![cfg_attr(fuzzing, no_main)]

hsm_fuzz::target!(key_field);

//! See `hsm_fuzz::request_fields`.
#![cfg_attr(fuzzing, no_main)]

hsm_fuzz::target!(request_fields);

//! See `hsm_fuzz::tr31`.
#![cfg_attr(fuzzing, no_main)]

hsm_fuzz::target!(tr31);

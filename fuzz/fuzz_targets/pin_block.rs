//! See `hsm_fuzz::pin_block`.
#![cfg_attr(fuzzing, no_main)]

hsm_fuzz::target!(pin_block);

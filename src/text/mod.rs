//! Text that may hold secrets, and untrusted text that must never act as a command.

mod borrowed;
mod escape;
mod mask;
mod secret;

pub use borrowed::Text;
pub use escape::{comment, printable, quote_on_one_line};
pub use mask::{Mask, without_logins};
pub use secret::{Secret, forms};

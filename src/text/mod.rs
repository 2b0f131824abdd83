//! Text as what it is: words that may hold secrets, and words from outside that are data and never commands.

mod borrowed;
mod escape;
mod mask;
mod secret;

pub use borrowed::Text;
pub use escape::{comment, printable, quote_on_one_line};
pub use mask::{Mask, without_logins};
pub use secret::{Secret, forms};

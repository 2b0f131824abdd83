//! Text as what it is: words that may hold secrets, and words from outside that are data and never commands.

mod borrowed;
mod escape;
mod mask;
mod secret;

pub use borrowed::Text;
pub use escape::{comment, printable};
pub use mask::Mask;
pub use secret::{Secret, forms};

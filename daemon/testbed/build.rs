//! Has the crate compiled anew when a file of the image changes, which is embedded in it.

fn main() {
    println!("cargo::rerun-if-changed=image");
}

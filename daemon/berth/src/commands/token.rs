//! `berth token …`

use berth_contract::{NewToken, TokenInfo};

use super::Context;
use crate::args::token::Token;
use crate::failure::Result;
use crate::table::columns;
use crate::words;

pub(super) async fn run(context: &Context, command: Token) -> Result<()> {
    let Context { client, output } = context;
    match command {
        Token::Create { name, scope, expires_in } => {
            let new = NewToken { name, scope: scope.to_string(), expires_in_seconds: expires_in };
            let issued = client.create_token(&new).await?;
            output.aside(&format!("token {}, {}; it is shown this once:", issued.info.id, issued.info.scope));
            // Alone, so that it can go straight into a file.
            output.result(&issued, |issued| issued.token.clone());
        }
        Token::List => output.result(&client.tokens().await?, |tokens| list(tokens)),
        Token::Revoke { id } => {
            client.delete_token(id).await?;
            output.result(&serde_json::json!({"revoked": id}), |_| format!("{id} opens nothing any more"));
        }
    }
    Ok(())
}

fn list(tokens: &[TokenInfo]) -> String {
    let row = |token: &TokenInfo| {
        let expires = token.expires_at.map_or_else(|| "never".to_owned(), words::instant);
        vec![token.id.to_string(), token.name.clone(), token.scope.to_string(), expires]
    };
    columns(&["id", "name", "scope", "expires"], &tokens.iter().map(row).collect::<Vec<_>>())
}

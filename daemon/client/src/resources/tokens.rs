//! Tokens.

use berth_contract::{IssuedToken, NewToken, TokenInfo};
use berth_domain::TokenId;

use crate::client::Client;
use crate::error::Result;

impl Client {
    /// Issues a token. Its secret is in the answer and nowhere else.
    ///
    /// # Errors
    /// As any call.
    pub async fn create_token(&self, token: &NewToken) -> Result<IssuedToken> {
        self.post(&["v1", "tokens"]).json(token).read().await
    }

    /// Every token, without its secret.
    ///
    /// # Errors
    /// As any call.
    pub async fn tokens(&self) -> Result<Vec<TokenInfo>> {
        self.list(&["v1", "tokens"], &[], usize::MAX).await
    }

    /// Revokes a token: it opens nothing any more.
    ///
    /// # Errors
    /// As any call.
    pub async fn delete_token(&self, id: TokenId) -> Result<()> {
        self.delete(&["v1", "tokens", &id.to_string()]).send().await.map(drop)
    }
}

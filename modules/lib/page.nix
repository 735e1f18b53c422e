# The page that visitors see while a tenant does not serve.
{ lib }:
{ title, text }:
''
  <!doctype html>
  <html lang="en">
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="robots" content="noindex">
  <title>${lib.escapeXML title}</title>
  <style>
    body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 18vh auto 0; padding: 0 1.5rem; color: #222; background: #fafafa }
    h1 { font-size: 1.5rem } p { white-space: pre-line }
    @media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } }
  </style>
  <h1>${lib.escapeXML title}</h1>
  <p>${lib.escapeXML text}</p>
  </html>
''

#!/usr/bin/env node
// The command `latchkey`. The code is in src/cli, compiled to dist by `npm run build`.
await import('../dist/cli/main.js')

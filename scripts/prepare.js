// Runs at the end of `npm ci`: compiles the client library and the service, whose command line uses it, so that
// `npx latchkey` works in a fresh clone.
// A tree with production dependencies only has no compiler; it is given dist, and nothing is done here.
import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

function compiler() {
  try {
    return require.resolve('typescript/bin/tsc')
  } catch {
    return undefined
  }
}

const tsc = compiler()
const projects = ['packages/sdk/tsconfig.json', 'tsconfig.build.json']
// Types are checked by `npm run typecheck`, all at once.
if (tsc) execFileSync(process.execPath, [tsc, '-b', '--noCheck', ...projects], { stdio: 'inherit' })
else console.error('No TypeScript compiler here (production install): using dist as it is.')

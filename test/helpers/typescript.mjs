// Has tests, and the threads that what they test begins, run TypeScript as it is written. It does not look for wrong types:
// `npm run typecheck` does.
import { register } from 'node:module'

register('./typescript-hook.mjs', import.meta.url)

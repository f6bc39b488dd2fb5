// The version of this build, and the Node.js it needs, from package.json.
import { readFileSync } from 'node:fs'

const about = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

export const version: string = about.version
/** `>=major.minor` */
export const nodeNeeded: string = about.engines.node

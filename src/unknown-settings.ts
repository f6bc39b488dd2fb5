// Variables that look like settings and are none: mistyped, as a rule, so what was meant does not happen.
import { nearest } from './http/nearest.ts'

const prefix = 'LATCHKEY_'

/** Of the command line (src/cli/shell.ts), which is often used in the same environment. */
const commandLine = new Set(['URL', 'TOKEN', 'TOKEN_FILE', 'OUTPUT', 'NO_INPUT'].map((name) => prefix + name))

/** What Kubernetes tells every pod of a Service that is called latchkey, or latchkey-something. */
const ofKubernetes = /_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_[A-Z]+(_|$)/

/** @returns a sentence for each, without its value */
export function unknownAmong(variables: readonly string[], settings: readonly string[]): readonly string[] {
  const known = settings.flatMap((name) => [name, `${name}_FILE`])
  const isUnknown = (name: string) =>
    name.toUpperCase().startsWith(prefix) &&
    !known.includes(name) &&
    !commandLine.has(name) &&
    !ofKubernetes.test(name)
  return variables
    .filter(isUnknown)
    .map((name) => `${name} is no setting and is ignored${instead(name, known)}`)
}

/** Compared without what all have in common; DATABASE_URL is often taken to have it, too. */
function instead(name: string, known: readonly string[]): string {
  const bare = (one: string) => (one.toUpperCase().startsWith(prefix) ? one.slice(prefix.length) : one)
  const near = nearest(bare(name), known.map(bare))
  const meant = known.find((one) => bare(one) === near)
  return meant === undefined ? '' : `; the nearest one is ${meant}`
}

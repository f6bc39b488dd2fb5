// An endpoint of the catalog as a page for people. Pure.
import { type Cell, fields, plain, table } from '../people.ts'
import type { About } from './show.ts'
import type { Endpoint } from './view.ts'

export function endpointPage(endpoint: Endpoint, { baseUrls, errors, workflows }: About): string {
  const { request, response } = endpoint
  return [
    fields(pairsOf(endpoint, baseUrls, workflows)),
    endpoint.description && `Description:\n${block(endpoint.description)}`,
    request && hintsOf(request),
    request && exampleOf(`Send${typed(request)}`, request.example),
    response && exampleOf(`Answer ${response.status}${typed(response)}`, response.example),
    errors.length > 0 &&
      table(
        ['ERROR', 'STATUS', 'WHAT TO DO'],
        errors.map(({ code, status, whatToDo }) => [code, status, whatToDo]),
      ),
  ]
    .filter(Boolean)
    .join('\n\n')
}

function pairsOf(
  { id, service, method, path, summary, access, auth, effects, jobs = [], stability, note }: Endpoint,
  baseUrls: About['baseUrls'],
  workflows: About['workflows'],
): (readonly [string, Cell])[] {
  const pairs: (readonly [string, Cell])[] = [
    ['id', id],
    ['service', service],
    ['call', `${method} ${path}`],
    ['at', baseUrls],
    ['summary', summary],
    ['access', access],
    ['scopes', auth.scopes],
    ['effects', effectsOf(effects)],
    ['stability', stability],
    ['jobs', jobs.join('; ')],
    ['workflows', workflows.map((one) => one.id)],
    ['note', note],
  ]
  return pairs.filter(([, value]) => value !== undefined && (value as string).length > 0)
}

function effectsOf({ readOnly, destructive, idempotency }: Endpoint['effects']): string {
  const said = [readOnly ? 'only reads' : 'changes something', destructive && 'cannot be undone', idempotency]
  return said.filter(Boolean).join('; ')
}

/** Where each parameter goes, and what it is. */
function hintsOf({ path, query, header, hint }: NonNullable<Endpoint['request']>): string {
  const rows = Object.entries({ path, query, header, body: hint }).flatMap(([where, names = {}]) =>
    Object.entries(names).map(([name, what]) => [where, name, what]),
  )
  return rows.length > 0 ? table(['IN', 'NAME', 'IS'], rows) : ''
}

const typed = ({ contentType }: { readonly contentType?: string }): string =>
  contentType === undefined ? '' : ` (${plain(contentType)})`

const exampleOf = (what: string, example: unknown): string =>
  example === undefined ? '' : `${what}, for example:\n${block(JSON.stringify(example, null, 2))}`

const block = (text: string): string =>
  text
    .split('\n')
    .map((line) => `  ${plain(line)}`.trimEnd())
    .join('\n')

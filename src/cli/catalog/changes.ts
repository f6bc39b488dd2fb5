// What publishing a document changes, for people: a line for each route, then what else there is to know. Pure.
import { plain } from '../people.ts'

type Route = {
  readonly method: string
  readonly path: string
  readonly id: string
  readonly access: string
  readonly scopes: readonly string[]
}

type Diff = {
  readonly added: readonly Route[]
  readonly removed: readonly Route[]
  readonly changed: readonly {
    readonly method: string
    readonly path: string
    readonly fields: readonly string[]
    readonly was: Route
    readonly now: Route
  }[]
  readonly brokenWorkflows: readonly {
    readonly service: string
    readonly workflow: string
    readonly step: string
    readonly endpoint: string
  }[]
  readonly scopesStillHeld: readonly { readonly scope: string; readonly liveTokens: number }[]
}

export type Published = {
  readonly service: string
  readonly changed: boolean
  readonly dryRun: boolean
  readonly digest: string
  readonly publishedAt: string | null
  readonly endpoints: number
  readonly diff: Diff | null
  readonly problems: readonly { readonly code: string; readonly pointer?: string; readonly detail: string }[]
}

export function changeLines({ diff, problems }: Published): string[] {
  if (diff === null) return []
  const { added, removed, changed, brokenWorkflows, scopesStillHeld } = diff
  return [
    ...added.map((route) => `+ ${routeLine(route)}`),
    ...removed.map((route) => `- ${routeLine(route)}`),
    ...changed.map((one) => `~ ${one.method} ${one.path}  ${differences(one)}`),
    ...brokenWorkflows.map(
      ({ service, workflow, step, endpoint }) =>
        `The workflow ${workflow} of ${service} is not shown: its step ${step} names ${endpoint}, which nobody shows.`,
    ),
    ...scopesStillHeld.map(
      ({ scope, liveTokens }) => `No route needs ${scope} any more; live tokens that hold it: ${liveTokens}.`,
    ),
    ...problems.map(({ code, pointer, detail }) => `! ${code}: ${pointer ? `${pointer}: ` : ''}${detail}`),
  ].map(plain)
}

const routeLine = ({ method, path, id, access, scopes }: Route): string =>
  [`${method} ${path}`, id, [access, ...scopes].join(' ')].join('  ')

/** Who may call is said in full; of the rest, that it differs. */
function differences({ fields, was, now }: Diff['changed'][number]): string {
  const values = (['id', 'access', 'scopes'] as const).map((name) => [name, said(was[name]), said(now[name])])
  const told = values.filter(([, before, after]) => before !== after)
  const rest = fields.filter((name) => !['id', 'access', 'auth'].includes(name))
  return [...told.map(([name, before, after]) => `${name}: ${before} → ${after}`), rest.join(', ')]
    .filter(Boolean)
    .join('; ')
}

const said = (value: string | readonly string[]): string =>
  typeof value === 'string' ? value : value.join(' ') || 'none'

/** The one line that says how it went. */
export function resultLine({
  service,
  changed,
  dryRun,
  digest,
  endpoints,
  diff,
  problems,
}: Published): string {
  if (problems.length > 0)
    return `Publishing would be refused for ${problems.length === 1 ? 'this' : `these ${problems.length}`}.`
  if (!changed) return `Nothing changes: ${service} has published this very document (${digest}).`
  const counts = (['added', 'removed', 'changed'] as const).map((kind) => `${diff?.[kind].length} ${kind}`)
  return `${dryRun ? 'Would publish' : 'Published'} ${endpoints} endpoints of ${service}: ${counts.join(', ')} (${digest}).`
}

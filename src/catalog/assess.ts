// What publishing a document would do, and what speaks against it. Decides nothing and writes nothing: a dry run shows
// it, a publish refuses by it.
import { didYouMean } from '../http/nearest.ts'
import { Problem } from '../http/problem.ts'
import type { ProblemCode } from '../http/problems.ts'
import { conflictsOf } from './conflicts.ts'
import { diffOf, type RouteDiff } from './diff.ts'
import type { Endpoint } from './endpoint.ts'
import { type BrokenStep, brokenSteps } from './guidance.ts'
import type { Snapshot } from './live.ts'
import type { Reading, RouteName } from './reading/document.ts'

export type PublishProblem = {
  readonly code: ProblemCode
  readonly pointer?: string
  readonly detail: string
}

export type Assessment = {
  readonly diff: RouteDiff & {
    readonly undeclaredScopes: readonly { readonly scope: string; readonly routes: readonly string[] }[]
    readonly withoutSecurity: readonly RouteName[]
    readonly brokenWorkflows: readonly BrokenStep[]
  }
  /** Needed by a route until now, and by none from now on. */
  readonly scopesLeft: readonly string[]
  readonly problems: readonly PublishProblem[]
}

/** @param ownEndpoints Latchkey's: workflows may name them */
export function assess(
  service: string,
  reading: Reading,
  snapshot: Snapshot,
  ownEndpoints: readonly Endpoint[],
): Assessment {
  const { endpoints, servers, findings, withoutSecurity } = reading
  const others = snapshot.services.filter((one) => one.id !== service).flatMap((one) => one.endpoints)
  const before = snapshot.services.find((one) => one.id === service)?.endpoints ?? []
  const declared = new Set(snapshot.scopes.map((scope) => scope.name))
  const undeclaredScopes = undeclaredIn(endpoints, declared)
  const baseUrl = snapshot.registered.find((one) => one.id === service)?.base_url ?? null
  const conflicts = conflictsOf({ id: service, baseUrl, servers, endpoints }, snapshot, hostOwners(snapshot))
  const needed = new Set([...others, ...endpoints].flatMap((one) => one.auth.scopes))
  return {
    diff: {
      ...diffOf(before, endpoints),
      undeclaredScopes,
      withoutSecurity,
      brokenWorkflows: brokenSteps(snapshot.guidance, [...ownEndpoints, ...others, ...endpoints]),
    },
    scopesLeft: [...new Set(before.flatMap((one) => one.auth.scopes))].filter((scope) => !needed.has(scope)),
    problems: [
      ...findings.map((finding) => ({ code: 'validation-failed' as const, ...finding })),
      ...undeclaredScopes.map(({ scope, routes }) => ({
        code: 'unknown-scope' as const,
        detail: `No service declares the scope "${scope}", which ${routes[0]} needs.${didYouMean(scope, declared)}`,
      })),
      ...conflicts.map((conflict) => ({ code: 'conflict' as const, ...conflict })),
    ],
  }
}

/** Which service has which host to itself; several may share one by base URLs that an admin gave them. */
export function hostOwners({ registered }: Pick<Snapshot, 'registered'>): Map<string, string> {
  return new Map(
    registered.flatMap(({ id, base_url }) => (base_url === null ? [] : [[new URL(base_url).host, id]])),
  )
}

function undeclaredIn(endpoints: readonly Endpoint[], declared: ReadonlySet<string>) {
  const routes = new Map<string, string[]>()
  for (const { method, path, auth } of endpoints)
    for (const scope of auth.scopes)
      if (!declared.has(scope)) routes.set(scope, [...(routes.get(scope) ?? []), `${method} ${path}`])
  return [...routes].map(([scope, list]) => ({ scope, routes: list }))
}

const mostShown = 20

/** @throws Problem with the first kind of what speaks against it */
export function refuse(problems: readonly PublishProblem[]): void {
  const [first] = problems
  if (!first) return
  const same = problems.filter((one) => one.code === first.code)
  const more = same.length > 1 ? ` (and ${same.length - 1} more)` : ''
  const errors = same
    .slice(0, mostShown)
    .map(({ pointer, detail }) => ({ ...(pointer !== undefined && { pointer }), detail }))
  throw new Problem(first.code, `${first.detail}${more}`, { errors })
}

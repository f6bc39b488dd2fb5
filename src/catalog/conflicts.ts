// Which service would a request be for? Two services whose hosts, bases and routes leave that open are in conflict, and
// so are documents that put themselves on another service's own host. Pure.
import { basesMeet, basesOf } from './claims.ts'
import type { Endpoint } from './endpoint.ts'
import { overlapOf, TooManyPatterns, type Trie, trieOf } from './overlap.ts'
import type { Base, Published, PublishedService } from './published.ts'
import { pointerTo } from './reading/finding.ts'

export type Contender = {
  readonly id: string
  readonly baseUrl: string | null
  readonly servers: readonly string[]
  readonly endpoints: readonly Endpoint[]
}

export type Conflict = { readonly pointer?: string; readonly detail: string }

/** @param published how it is, the contender's own former state included, which does not count */
export function conflictsOf(
  contender: Contender,
  published: Published,
  ownHosts: ReadonlyMap<string, string>,
): Conflict[] {
  const bases = basesOf(contender)
  const foreign = bases.find(
    ({ host }) => host !== null && (ownHosts.get(host) ?? contender.id) !== contender.id,
  )
  if (foreign && contender.baseUrl === null) return [onForeignHost(foreign, ownHosts.get(foreign.host!)!)]
  const others = published.services.filter((one) => one.id !== contender.id)
  const hosts = new Set(ownHosts.keys())
  const tries = new Map<string, Trie>()
  return others.flatMap((other) => {
    const found = conflictWith(other, contender, bases, hosts, tries)
    return found ? [found] : []
  })
}

const onForeignHost = ({ host }: Base, owner: string): Conflict => ({
  pointer: '/servers',
  detail: `The host ${host} belongs to the service ${owner} by its base URL. An admin can give this service a base URL there too.`,
})

function conflictWith(
  other: PublishedService,
  contender: Contender,
  bases: readonly Base[],
  ownHosts: ReadonlySet<string>,
  tries: Map<string, Trie>,
): Conflict | null {
  const meeting = bases.flatMap((mine) =>
    other.bases
      .filter((theirs) => basesMeet(mine, theirs, ownHosts))
      .map((theirs) => [mine, theirs] as const),
  )
  for (const [mine, theirs] of meeting) {
    const trie = tries.get(mine.path) ?? trieOf(contender.endpoints, mine.path)
    tries.set(mine.path, trie)
    const conflict = overlapAt(trie, trieOf(other.endpoints, theirs.path), mine, theirs, other.id)
    if (conflict) return conflict
  }
  return null
}

function overlapAt(mine: Trie, theirs: Trie, { path, host }: Base, other: Base, id: string): Conflict | null {
  try {
    const overlap = overlapOf(mine, theirs)
    if (!overlap) return null
    const { left, right } = overlap
    const where = host ?? other.host
    return {
      pointer: pointerTo('paths', left.path, left.method.toLowerCase()),
      detail: `${left.method} ${path}${left.path} and ${right.method} ${other.path}${right.path} of the service ${id} take the same requests${where ? ` at ${where}` : ''}. Give them different base URLs.`,
    }
  } catch (error) {
    if (!(error instanceof TooManyPatterns)) throw error
    return {
      pointer: '/paths',
      detail: `Too many paths here and of the service ${id} have text and a parameter in one segment to tell whether they overlap. Give the services different base URLs.`,
    }
  }
}

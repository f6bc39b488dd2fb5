// PURE: the two forms of GitHub's `sub`. Until July 2026 `repo:acme/site:ref:refs/heads/main`; repositories made,
// renamed or transferred since say `repo:acme@12/site@345:ref:refs/heads/main`, with the ids of owner and repository.
import { type Claims, claim } from './jwt.ts'

export type GithubSub = {
  readonly owner: string
  readonly ownerId: string | null
  readonly repository: string
  readonly repositoryId: string | null
  /** `ref:refs/heads/main`, `environment:production`, `pull_request`, … */
  readonly context: string
}

const form = /^repo:([A-Za-z0-9_-]+)(?:@(\d+))?\/([A-Za-z0-9._-]+)(?:@(\d+))?:(.+)$/s

/** @returns null when it is of neither form: an organization may make up its own */
export function readGithubSub(sub: string): GithubSub | null {
  const [, owner, ownerId = null, repository, repositoryId = null, context] = form.exec(sub) ?? []
  if (!owner || !repository || !context) return null
  // Ids come for both or for none.
  return (ownerId === null) === (repositoryId === null)
    ? { owner, ownerId, repository, repositoryId, context }
    : null
}

/**
 * Either form meets a condition of either form: names without regard to case, as GitHub does, what comes after them
 * exactly. An id on one side must be what the other side, or the token's own claim, says.
 */
export function meetsGithubSub(wanted: string, claims: Claims): boolean {
  const sub = claim(claims, 'sub')
  if (typeof sub !== 'string') return false
  const [a, b] = [readGithubSub(wanted), readGithubSub(sub)]
  if (!a || !b) return sub === wanted
  return (
    sameName(a.owner, b.owner) &&
    sameName(a.repository, b.repository) &&
    a.context === b.context &&
    [a, b].every((one) => agrees(one, claims))
  )
}

/** Whether the ids, if there are any, are those that the token has as claims of their own. */
function agrees({ ownerId, repositoryId }: GithubSub, claims: Claims): boolean {
  return (
    (ownerId === null || ownerId === claim(claims, 'repository_owner_id')) &&
    (repositoryId === null || repositoryId === claim(claims, 'repository_id'))
  )
}

/** ASCII only: `K` (the Kelvin sign) is no k to GitHub. */
export function sameName(a: string, b: string): boolean {
  const lower = (text: string) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
  return lower(a) === lower(b)
}

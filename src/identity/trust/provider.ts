// PURE: whose tokens an issuer gives out. GitHub and GitLab sign for everybody who has an account there, so that what
// a policy must name is known for them (pitfalls.ts); of any other OpenID Connect issuer little is known.
import type { Claims } from './jwt.ts'

export const providers = ['github', 'gitlab', 'oidc'] as const
export type Provider = (typeof providers)[number]

/**
 * By the issuer's URL; null: it does not tell. GitHub Enterprise Server has its issuer under `/_services/token`,
 * data residency on `token.actions.<name>.ghe.com`, an enterprise may add a path of its own.
 */
export function providerOf(issuer: string): Provider | null {
  const { hostname, pathname } = new URL(issuer)
  if (hostname === 'token.actions.githubusercontent.com') return 'github'
  if (/^token\.actions\.[a-z0-9-]+\.ghe\.com$/.test(hostname)) return 'github'
  if (pathname.replace(/\/$/, '').endsWith('/_services/token')) return 'github'
  return hostname === 'gitlab.com' ? 'gitlab' : null
}

/** The claims without which a token of that provider says nothing lasting about where it comes from. */
export const identityClaims = {
  github: ['repository_id', 'repository_owner_id'],
  gitlab: ['project_id', 'namespace_id'],
  oidc: [],
} as const satisfies Record<Provider, readonly string[]>

/** A policy for "any issuer" asks for less, so what is GitHub's or GitLab's by its claims may not come in by it. */
export function looksLike(claims: Claims): Provider | null {
  const has = (provider: 'github' | 'gitlab') =>
    identityClaims[provider].every((name) => Object.hasOwn(claims, name))
  if (has('github')) return 'github'
  return has('gitlab') ? 'gitlab' : null
}

/** What started the job, as each provider calls it. */
export const triggerClaim = { github: 'event_name', gitlab: 'pipeline_source' } as const

/**
 * Only people with write access can cause these. Everything else (pull_request_target, workflow_run, issue_comment,
 * merge_request_event, …) may run for, or with the code of, somebody from outside: denied, known or not.
 */
export const insiderTriggers = {
  github: [
    'push',
    'schedule',
    'workflow_dispatch',
    'repository_dispatch',
    'release',
    'deployment',
    'deployment_status',
    'merge_group',
    'create',
  ],
  gitlab: ['push', 'schedule', 'web', 'api', 'trigger', 'pipeline', 'parent_pipeline'],
} as const

/** What a policy takes that names none. */
export const usualTriggers = {
  github: ['push', 'schedule', 'workflow_dispatch', 'release', 'deployment'],
  gitlab: ['push', 'schedule', 'web'],
} as const

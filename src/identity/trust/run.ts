// PURE: which run a token was made for, from the claims that were checked: its name in lists, and metadata by which
// to find the job. Never the JWT itself.
import { type Claims, claim } from './jwt.ts'
import type { Provider } from './provider.ts'

const told: Record<Provider, readonly string[]> = {
  github: [
    'repository',
    'repository_id',
    'ref',
    'sha',
    'run_id',
    'run_attempt',
    'event_name',
    'environment',
    'actor',
  ],
  gitlab: [
    'project_path',
    'project_id',
    'ref',
    'sha',
    'pipeline_id',
    'job_id',
    'pipeline_source',
    'environment',
    'user_login',
  ],
  oidc: [],
}

/** What can be stored, shown in a line, and is not endless. */
const printable = (text: string, most: number) =>
  [...text.replace(/[\p{Surrogate}\p{Cc}]/gu, ' ')].slice(0, most).join('')

export function metadataOf(claims: Claims, provider: Provider, policyId: string): Record<string, string> {
  const pairs = ['iss', 'sub', ...told[provider]].flatMap((name) => {
    const value = claim(claims, name)
    return typeof value === 'string' && value !== '' ? [[name, printable(value, 500)] as const] : []
  })
  return { policy: policyId, ...Object.fromEntries(pairs) }
}

export function runName(claims: Claims, provider: Provider): string {
  const text = (name: string) => String(claim(claims, name) ?? '?')
  const name = {
    github: `${text('repository')} run ${text('run_id')}`,
    gitlab: `${text('project_path')} job ${text('job_id')}`,
    oidc: text('sub'),
  }[provider]
  return printable(name, 100)
}

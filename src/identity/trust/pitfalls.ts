// PURE: what a trust policy may not look like. Each rule is a way in which others have trusted more than they meant
// (standards §8, WLI-02 and WLI-10 to 15), refused when the policy is made rather than found out later.
import { type Conditions, listOf, type Value, wildcardClaims } from './conditions.ts'
import { readGithubSub } from './github-sub.ts'
import { identityClaims, insiderTriggers, type Provider, triggerClaim, usualTriggers } from './provider.ts'

export type Draft = {
  readonly provider: Provider
  readonly issuer: string
  readonly audience: string
  readonly conditions: Conditions
}
export type Pitfall = { readonly pointer: string; readonly detail: string }

export function pitfallsOf(draft: Draft): Pitfall[] {
  const each = Object.entries(draft.conditions).flatMap(([name, value]) =>
    listOf(value).flatMap((one) => inCondition(draft.provider, name, one)),
  )
  return [...inAudience(draft), ...inWhole(draft), ...each]
}

/** What started the job is always a condition, so that it is seen: left out, the usual insiders' triggers. */
export function withTrigger(provider: Provider, conditions: Conditions): Conditions {
  if (provider === 'oidc' || Object.hasOwn(conditions, triggerClaim[provider])) return conditions
  return { ...conditions, [triggerClaim[provider]]: usualTriggers[provider] }
}

const at = (name: string) => `/conditions/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`

/** Audiences that many others ask for: a token made for them could be carried over to us. */
const commonAudiences =
  /^(sts\.amazonaws\.com|api:\/\/AzureADTokenExchange|sigstore|(test)?pypi|npm:.*|vault|kubernetes|https:\/\/kubernetes\.default\.svc.*)$/i

/** WLI-02. GitHub's default is the URL of the repository's owner, GitLab's was the instance. */
function inAudience({ provider, issuer, audience }: Draft): Pitfall[] {
  const { origin, host, hostname } = new URL(issuer)
  const isInstance = [issuer, origin, host, hostname].includes(audience.replace(/\/$/, ''))
  const isOwner = provider === 'github' && isOwnerUrl(audience, host)
  if (!isInstance && audience !== issuer && !isOwner && !commonAudiences.test(audience)) return []
  const detail = `“${audience}” is what tokens have that were made for others too. Take an audience that is asked for nowhere else.`
  return [{ pointer: '/audience', detail }]
}

function isOwnerUrl(audience: string, issuerHost: string): boolean {
  const url = URL.canParse(audience) ? new URL(audience) : null
  const isGithub = url !== null && (/^(github\.com|.+\.ghe\.com)$/.test(url.host) || url.host === issuerHost)
  return isGithub && /^\/[^/]*\/?$/.test(url.pathname)
}

function inWhole({ provider, conditions }: Draft): Pitfall[] {
  if (provider === 'oidc') return hasWorkload(conditions)
  const missing = identityClaims[provider].filter((name) => !Object.hasOwn(conditions, name))
  // WLI-10, 11: the issuer signs for everybody; names change hands, ids do not.
  const unidentified = missing.map((name) => ({
    pointer: at(name),
    detail: `A condition on ${name} is required: names are given anew when they become free, ids are not.`,
  }))
  const open = provider === 'gitlab' && !Object.hasOwn(conditions, 'ref_protected')
  return open ? [...unidentified, unprotected] : unidentified
}

/** WLI-13: whoever may open a merge request may make a ref; not a protected one. */
const unprotected = {
  pointer: at('ref_protected'),
  detail: 'The condition "ref_protected": "true" is required: anybody who may push a branch runs jobs on it.',
}

/** Ids of what has any number of projects in it. */
const ofMany =
  /(^|[^a-z])(tenant|org|organi[sz]ation|enterprise|account|client|customer|namespace|group|team)[^A-Za-z]?u?u?id$/i

/** WLI-10 for an issuer of which nothing is known: one workload, or a thing by its id. */
function hasWorkload(conditions: Conditions): Pitfall[] {
  const isId = (name: string) => /(^|[^A-Za-z])u?u?id$/.test(name) && !ofMany.test(name)
  if (Object.keys(conditions).some((name) => name === 'sub' || isId(name))) return []
  const detail =
    'A condition on sub, or on an id of the one project or job, is required: else many with an account at the issuer are trusted.'
  return [{ pointer: '/conditions', detail }]
}

/** Said by the policy's own fields, or of no use as a condition. */
const ownFields = ['iss', 'aud', 'exp', 'nbf', 'iat', 'jti']

function inCondition(provider: Provider, name: string, value: Value): Pitfall[] {
  const found =
    ofName(provider, name) ??
    ofType(provider, name, value) ??
    ofPattern(provider, name, value) ??
    ofTrigger(provider, name, value) ??
    (typeof value === 'string' ? ofText(provider, name, value) : null)
  return found === null ? [] : [{ pointer: at(name), detail: found }]
}

function ofName(provider: Provider, name: string): string | null {
  if (ownFields.includes(name)) return `${name} is not for conditions; the policy has issuer and audience.`
  if (provider === 'oidc') return ofForeignName(name)
  // WLI-14: claims are told apart by case, so Repository_ID is not there in any token.
  const known = [
    ...identityClaims[provider],
    triggerClaim[provider],
    'ref_protected',
    'environment',
    'ref',
    'sub',
  ]
  const meant = known.find((one) => one !== name && one.toLowerCase() === name.toLowerCase())
  return meant ? `The claim is called ${meant}, in just this case.` : null
}

/** GitHub or GitLab by another name would be let off their rules. */
function ofForeignName(name: string): string | null {
  const whose = (['github', 'gitlab'] as const).find((one) =>
    (identityClaims[one] as readonly string[]).includes(name),
  )
  return whose
    ? `${name} is a claim of ${whose === 'github' ? 'GitHub' : 'GitLab'}. Say "provider": "${whose}".`
    : null
}

/** WLI-15: "true" is not true, and "42" not 42; GitHub and GitLab write everything as text. */
function ofType(provider: Provider, name: string, value: Value): string | null {
  if (provider === 'oidc' || typeof value === 'string') return null
  return `${name} is text in these tokens: write ${JSON.stringify(String(value))}, not ${value}.`
}

/** WLI-12. */
function ofPattern(provider: Provider, name: string, value: Value): string | null {
  if (typeof value !== 'string') return null
  const fixed =
    provider !== 'oidc' && wildcardClaims.includes(name) && /[^/]\/\*$/.test(value)
      ? value.slice(0, -2)
      : value
  if (!/[*?^\\[\]]|\.\+|\$$/.test(fixed)) return null
  return 'Values are compared as they are. There are no patterns but one: the last segment of ref or ref_path may be *, as in refs/tags/*.'
}

/** WLI-13. */
function ofTrigger(provider: Provider, name: string, value: Value): string | null {
  if (provider === 'oidc' || name !== triggerClaim[provider]) return null
  const allowed: readonly string[] = insiderTriggers[provider]
  if (allowed.includes(String(value))) return null
  return `“${value}” runs for people from outside, or may. Only these are trusted: ${allowed.join(', ')}.`
}

function ofText(provider: Provider, name: string, value: string): string | null {
  if (provider === 'oidc')
    return name === 'sub' && /^(repo|project_path):/.test(value)
      ? 'This is a sub of GitHub or GitLab: say so in "provider".'
      : null
  const isId = (identityClaims[provider] as readonly string[]).includes(name)
  if (isId && !/^[1-9]\d{0,19}$/.test(value)) return `${name} is a number, written as text; not a name.`
  if (provider === 'gitlab' && name === 'ref_protected' && value !== 'true') return unprotected.detail
  if (provider === 'github' && name === 'sub') return ofGithubSub(value)
  return null
}

function ofGithubSub(value: string): string | null {
  if (!value.startsWith('repo:')) return null
  const sub = readGithubSub(value)
  if (!sub) return 'This is no whole sub: repo:OWNER/REPO:… or repo:OWNER@ID/REPO@ID:….'
  return /^pull_request(:|$)/.test(sub.context)
    ? 'Jobs for pull requests run the code of people from outside.'
    : null
}

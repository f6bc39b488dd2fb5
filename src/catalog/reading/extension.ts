// `x-latchkey` of an operation: the one extension key, and what it may say.
import { didYouMean } from '../../http/nearest.ts'
import { problems } from '../../http/problems.ts'
import { scopePattern } from '../../policy/scopes.ts'
import { type Access, accessKinds, type ServiceError, type Stability, stabilities } from '../endpoint.ts'
import { type Finding, pointerTo } from './finding.ts'
import { isObject, type Json } from './tree.ts'

export type Extension = {
  access?: Access
  scopes?: string[]
  effects?: { readOnly?: boolean; destructive?: boolean; idempotency?: string }
  jobs?: string[]
  errors?: (string | ServiceError)[]
  hidden?: boolean
  note?: string
  stability?: Stability
}

type Check = (value: Json) => string | null

const isText = (value: Json, most: number): value is string =>
  typeof value === 'string' && value !== '' && value.length <= most
const text =
  (most: number): Check =>
  (value) =>
    isText(value, most) ? null : `Must be text of 1 to ${most} characters.`
const flag: Check = (value) => (typeof value === 'boolean' ? null : 'Must be true or false.')
const oneOf =
  (choices: readonly string[]): Check =>
  (value) =>
    choices.includes(value as string)
      ? null
      : `Must be one of ${choices.join(', ')}.${didYouMean(String(value), choices)}`
const listOf =
  (check: Check, most: number): Check =>
  (value) => {
    if (!Array.isArray(value) || value.length > most) return `Must be a list of ${most} at most.`
    const index = value.findIndex((one) => check(one) !== null)
    return index < 0 ? null : `${index}: ${check(value[index]!)}`
  }
const scope: Check = (value) =>
  typeof value === 'string' && new RegExp(scopePattern).test(value)
    ? null
    : 'Must be a scope, as resource:action in lower case.'
const object =
  (members: Record<string, Check>, required: readonly string[] = []): Check =>
  (value) =>
    firstFault(value, members, required)?.detail ?? null

const errorCode: Check = (value) =>
  typeof value === 'string' && Object.hasOwn(problems, value)
    ? null
    : `Latchkey explains no error "${String(value)}".${didYouMean(String(value), Object.keys(problems))} Explain it here: {"code", "status", "meaning", "whatToDo"}.`

const ownCode: Check = (value) => {
  if (typeof value !== 'string' || !/^[a-z0-9][a-z0-9_.-]{0,63}$/i.test(value)) return 'Must be a code.'
  return Object.hasOwn(problems, value) ? `"${value}" is explained by Latchkey; give just its name.` : null
}
const status: Check = (value) =>
  Number.isInteger(value) && Number(value) >= 400 && Number(value) <= 599 ? null : 'Must be 400 to 599.'
const serviceError = object(
  {
    code: ownCode,
    status,
    meaning: text(500),
    whatToDo: text(500),
    retry: oneOf(['never', 'after-delay']),
  },
  ['code', 'status', 'meaning', 'whatToDo'],
)

const members: Record<string, Check> = {
  access: oneOf(accessKinds),
  scopes: listOf(scope, 50),
  effects: object({ readOnly: flag, destructive: flag, idempotency: text(100) }),
  jobs: listOf(text(200), 20),
  errors: listOf((value) => (isObject(value) ? serviceError(value) : errorCode(value)), 50),
  hidden: flag,
  note: text(1_000),
  stability: oneOf(stabilities),
}

/** @param pointer of the operation @returns what is right of it, and what is wrong */
export function extensionOf(
  value: Json | undefined,
  pointer: () => string,
): { said: Extension; findings: Finding[] } {
  if (value === undefined) return { said: {}, findings: [] }
  const fault = firstFault(value, members, [])
  if (fault === null) return { said: value as Extension, findings: [] }
  return {
    said: {},
    findings: [{ pointer: `${pointer()}/x-latchkey${fault.pointer}`, detail: `x-latchkey: ${fault.detail}` }],
  }
}

function firstFault(value: Json, checks: Record<string, Check>, required: readonly string[]): Finding | null {
  if (!isObject(value)) return { pointer: '', detail: 'Must be an object.' }
  const missing = required.find((name) => !Object.hasOwn(value, name))
  if (missing !== undefined) return { pointer: '', detail: `"${missing}" is missing.` }
  for (const [name, member] of Object.entries(value)) {
    const known = Object.hasOwn(checks, name)
    const detail = known
      ? checks[name]!(member)
      : `There is no such key here.${didYouMean(name, Object.keys(checks))}`
    if (detail !== null) return { pointer: pointerTo(name), detail: `${name}: ${detail}` }
  }
  return null
}

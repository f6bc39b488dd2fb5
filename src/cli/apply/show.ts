// A plan, or what became of it, as the three forms have it.
import type { Output } from '../output.ts'
import { plain } from '../people.ts'
import type { Result } from './plan.ts'
import type { Secrets } from './secrets.ts'
import type { Action, Change, Step } from './step.ts'

export function showResults(output: Output, results: readonly Result[], secrets: Secrets | null): void {
  const open = results.filter(({ state }) => state !== 'as it is')
  output.show({
    json: {
      changed: open.some(({ state }) => state === 'planned' || state === 'done'),
      applied: open.every(({ state }) => state === 'done'),
      steps: results.map((result) => jsonOf(result, secrets)),
    },
    quiet: open
      .filter(({ state }) => state === 'planned' || state === 'done')
      .map(({ step, id }) => id ?? step.name),
    people: () => textOfResults(results, secrets),
  })
}

function jsonOf({ step, state, id, notes }: Result, secrets: Secrets | null) {
  const { action, kind, name, subject, changes, secret } = step
  const secretFile = secret === null ? null : (secrets?.pathOf(secret) ?? secret)
  return { action, kind, name, subject, id, state, changes, secretFile, notes }
}

/** For people: what stays as it is is only counted. */
export function textOfResults(results: readonly Result[], secrets: Secrets | null): string {
  const open = results.filter(({ state }) => state !== 'as it is')
  const lines = open.flatMap((result) => [headOf(result), ...detailsOf(result, secrets)])
  return [...lines.map(plain), summary(results)].join('\n')
}

const signs: Record<Action, string> = { create: '+', change: '~', replace: '±', remove: '-', keep: ' ' }

function headOf({ step, state, id }: Result): string {
  const { action, kind, name, subject } = step
  const of = kind === 'scopes' ? `scopes of ${name}` : `${kind} ${name}`
  const whose = subject === null ? '' : ` of ${subject}`
  const which = id === null || id === name ? '' : ` (${id})`
  const became = state === 'planned' ? '' : `: ${state}`
  return `${signs[action]} ${action} ${of}${whose}${which}${became}`
}

function detailsOf({ step, notes }: Result, secrets: Secrets | null): string[] {
  const file =
    step.secret === null ? [] : [`secret → ${secrets?.pathOf(step.secret) ?? 'where --secrets-dir says'}`]
  const changes = step.action === 'remove' ? [] : step.changes.map((change) => changeOf(change, step))
  return [...changes, ...file, ...notes].map((text) => `    ${text}`)
}

function changeOf({ field, from, to }: Change, { kind, action }: Step): string {
  // Items of lists have their own signs; all that they say would be too much.
  if (kind === 'scopes') return `${from === null ? '+' : to === null ? '-' : '~'} ${field}`
  return action === 'create' ? `${field}: ${short(to)}` : `${field}: ${short(from)} → ${short(to)}`
}

function short(value: unknown): string {
  const isList = Array.isArray(value) && value.every((one) => typeof one === 'string')
  const text = typeof value === 'string' ? value : isList ? value.join(' ') : JSON.stringify(value)
  return text.length > 100 ? `${text.slice(0, 99)}…` : text || '""'
}

function summary(results: readonly Result[]): string {
  const count = (is: (result: Result) => boolean) => results.filter(is).length
  const kept = count(({ state }) => state === 'as it is')
  const same = `${kept} as the file says`
  if (kept === results.length) return `Nothing to do: ${same}.`
  const states = (['planned', 'done', 'failed', 'not done'] as const)
    .map((state) => [state, count((one) => one.state === state)] as const)
    .filter(([, number]) => number > 0)
  return `${states.map(([state, number]) => `${number} ${state}`).join(', ')}; ${same}.`
}

// Did every answer in a history tell the truth? Pure: values in, verdict out; reading the database, naming
// tokens and making trouble are the harness's. Near-linear: one sort of the changes, one binary search per answer and switch.
//
// A token is good while each of its switches is on. Revoke, rotate, expiry and narrow turn one off for good; disable
// and enable turn one off and on, for the token or for its whole subject. Of every change we know an interval in
// which it took effect, open-ended if nobody answered. An answer is called wrong only if *no* order of the changes
// within their intervals explains it: a violation is never a matter of luck. Answers and switches are judged one by
// one, so a contradiction that shows only between two answers, or two switches, passes unnoticed.
import type { Entry } from './history.ts'

/**
 * I1 no resurrection: active (or a scope taken away) in an answer begun after the change was acknowledged, on any replica.
 * I2 no false negative: `active:false` for a token that was certainly good all the while; an error is allowed, and counted.
 * I3 no lost acknowledged change, nor one that nobody asked for, in the final state.
 * I4 a rotation has exactly one successor.
 */
export type Invariant = 'I1' | 'I2' | 'I3' | 'I4'
export const INVARIANTS: readonly Invariant[] = ['I1', 'I2', 'I3', 'I4']

/** What the database says in the end, in the harness's names: one row per secret, also where the service rotates in place. */
export interface FinalState {
  tokens: readonly FinalToken[]
  subjects?: readonly { subject: string; disabled: boolean }[]
}

export interface FinalToken {
  token: string
  /** By revoke; may also be set by a rotation. */
  revoked: boolean
  disabled?: boolean
  /** Whose successor this is. */
  predecessor?: string | null
  scopes?: readonly string[]
}

export interface Violation {
  invariant: Invariant
  token: string
  why: string
  /** The answer itself, where one answer is to blame. */
  entry?: Entry
}

export interface Verdict {
  tried: number
  acknowledged: number
  indeterminate: number
  failed: number
  violations: Violation[]
  /** How often each invariant could have been broken; a check that could not fail does not count. */
  judged: Record<Invariant, number>
  /** Rule of three over the answers I1 judged: the rate of violations that this run excludes at 95 %, if it saw none. */
  bound95: number
}

export interface CheckOptions {
  final?: FinalState
  /** How long past its expiry a token may still be called active. */
  expiryToleranceMs?: number
}

/** `history` is walked twice and not kept: a file too large for memory may be passed as an iterable that reads it again. */
export function check(history: Iterable<Entry>, options: CheckOptions = {}): Verdict {
  const world = readChanges(history, BigInt(options.expiryToleranceMs ?? 1000) * NS_PER_MS)
  const counts = { ok: 0, unknown: 0, fail: 0 }
  const findings = newFindings()
  for (const entry of history) {
    counts[entry.outcome]++
    if (entry.f === 'introspect' && entry.outcome === 'ok') judgeAnswer(entry, world, findings)
  }
  judgeRotations(world, options.final, findings)
  if (options.final) judgeFinalState(world, options.final, findings)
  return {
    tried: counts.ok + counts.unknown + counts.fail,
    acknowledged: counts.ok,
    indeterminate: counts.unknown,
    failed: counts.fail,
    violations: findings.violations,
    judged: findings.judged,
    bound95: bound95(findings.judged.I1),
  }
}

/** With n trials and no failure, the failure rate is below 3/n with 95 % confidence; after few trials we know nothing. */
export const bound95 = (n: number): number => (n <= 3 ? 1 : 3 / n)

export function report(title: string, verdict: Verdict, print: (line: string) => void = console.log): void {
  const { violations, judged } = verdict
  print(`${title}: ${violations.length === 0 ? 'held' : `${violations.length} VIOLATIONS`}`)
  print(`  tried ${verdict.tried}, acknowledged ${verdict.acknowledged}`)
  print(`  indeterminate ${verdict.indeterminate}, failed ${verdict.failed}`)
  for (const invariant of INVARIANTS) {
    const broken = violations.filter((one) => one.invariant === invariant).length
    const bound =
      broken > 0
        ? 'broken'
        : judged[invariant] === 0
          ? 'says nothing'
          : `rate < ${bound95(judged[invariant]).toExponential(1)} at 95 %`
    print(`  ${invariant} ${NAMES[invariant]}: ${broken} of ${judged[invariant]}, ${bound}`)
  }
  for (const { invariant, token, why, entry } of violations.slice(0, 5))
    print(
      `  ${invariant} ${token}: ${why}${entry ? ` [${entry.proc} at ${entry.replica}, ${entry.invokedAt} to ${entry.returnedAt}]` : ''}`,
    )
  if (violations.length > 5) print(`  and ${violations.length - 5} more`)
}

const NAMES: Record<Invariant, string> = {
  I1: 'no resurrection',
  I2: 'no false negative',
  I3: 'no lost acknowledged change',
  I4: 'one successor',
}

// --- Time ---

const NS_PER_MS = 1_000_000n
const FOREVER = 2n ** 64n
/** Before the first change, a switch is on. */
const INITIALLY = -1n
const NEVER = -2n

interface Span {
  from: bigint
  /** FOREVER if nobody answered. */
  to: bigint
}

/** The greatest `value` among the changes whose `key` is below a limit. */
interface Latest {
  add(key: bigint, value: bigint): void
  below(limit: bigint): bigint
}

function latest(initial: bigint): Latest {
  const rows: { key: bigint; value: bigint }[] = []
  let sorted = true
  return {
    add(key, value) {
      rows.push({ key, value })
      sorted = false
    },
    below(limit) {
      if (!sorted) runningMaximum(rows)
      sorted = true
      let [low, high] = [0, rows.length]
      while (low < high) {
        const middle = (low + high) >>> 1
        if (rows[middle]!.key < limit) low = middle + 1
        else high = middle
      }
      return low === 0 ? initial : rows[low - 1]!.value
    },
  }
}

function runningMaximum(rows: { key: bigint; value: bigint }[]): void {
  rows.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
  let highest = NEVER
  for (const row of rows) {
    if (row.value > highest) highest = row.value
    row.value = highest
  }
}

// --- Switches ---

/** Something that is on, can be turned off, and perhaps on again. */
interface Switch {
  turn(to: 'on' | 'off', effect: Span): void
  /** Off at every moment of the span, in every order of the changes that is possible. */
  certainlyOff(during: Span): boolean
  certainlyOn(during: Span): boolean
}

function newSwitch(): Switch {
  // Possible changes by when they were asked for, certain ones by when they were acknowledged.
  const possible = { on: latest(INITIALLY), off: latest(NEVER) }
  const certain = { on: latest(INITIALLY), off: latest(NEVER) }
  return {
    turn(to, effect) {
      possible[to].add(effect.from, effect.to)
      if (effect.to < FOREVER) certain[to].add(effect.to, effect.from)
    },
    // Off for sure: turned off before the span, and whatever may have turned it on by the span's end was over before that.
    // Of two things in the same nanosecond either may be first.
    certainlyOff: ({ from, to }) => certain.off.below(from) > possible.on.below(to + 1n),
    certainlyOn: ({ from, to }) => certain.on.below(from) > possible.off.below(to + 1n),
  }
}

const UNTOUCHED: Pick<Switch, 'certainlyOff' | 'certainlyOn'> = newSwitch()

/** Switches are made when first turned: most tokens never need most of theirs. */
class Switches extends Map<string, Switch> {
  named(name: string): Switch {
    const known = this.get(name)
    if (known) return known
    const fresh = newSwitch()
    this.set(name, fresh)
    return fresh
  }
}

// --- Changes ---

interface Token {
  name: string
  /** From the first asking to the first acknowledgement. */
  provision: Span | null
  subject: string | undefined
  expiry: Span | null
  /** `revoked`, `rotated`, `disabled`, `expired`: what it is when one is off. */
  switches: Switches
  scopes: Switches
  rotations: Entry[]
}

interface World {
  tokens: Map<string, Token>
  /** On until disabled. */
  subjects: Switches
}

const spanOf = (entry: Entry): Span => ({ from: entry.invokedAt, to: entry.returnedAt ?? FOREVER })

/** Later by a while that began somewhere within the span. */
const shifted = ({ from, to }: Span, byNs: bigint, toleranceNs: bigint): Span => ({
  from: from + byNs,
  to: to + byNs + toleranceNs,
})

/** It may have happened, from then on, and nobody can say. */
const maybe = ({ from }: Span): Span => ({ from, to: FOREVER })

const nanoseconds = (ms: number): bigint => BigInt(Math.round(ms)) * NS_PER_MS

function readChanges(history: Iterable<Entry>, toleranceNs: bigint): World {
  const changes: Entry[] = []
  for (const entry of history) if (entry.f !== 'introspect' && entry.outcome !== 'fail') changes.push(entry)
  changes.sort((a, b) => (a.invokedAt < b.invokedAt ? -1 : a.invokedAt > b.invokedAt ? 1 : 0))

  const world: World = { tokens: new Map(), subjects: new Switches() }
  // All secrets first: a change of a subject must find every one it may concern.
  for (const entry of changes) if (entry.f === 'provision') readProvision(entry, world, toleranceNs)
  for (const entry of changes) if (entry.f === 'rotate') readRotation(entry, world, toleranceNs)
  const bySubject = new Map<string, Token[]>()
  for (const token of world.tokens.values()) {
    if (token.expiry) token.switches.named('expired').turn('off', token.expiry)
    if (token.subject === undefined) continue
    const siblings = bySubject.get(token.subject) ?? []
    bySubject.set(token.subject, siblings)
    siblings.push(token)
  }
  for (const entry of changes) {
    if (entry.f === 'provision' || entry.f === 'rotate') continue
    if (entry.token !== undefined) changeToken(entry, tokenNamed(entry.token, world), world)
    else changeSubject(entry, world, bySubject)
  }
  return world
}

function tokenNamed(name: string | undefined, world: World): Token {
  if (name === undefined) throw new Error('A history names the token of every operation, or the subject')
  const known = world.tokens.get(name)
  if (known) return known
  const token: Token = {
    name,
    provision: null,
    subject: undefined,
    expiry: null,
    switches: new Switches(),
    scopes: new Switches(),
    rotations: [],
  }
  world.tokens.set(name, token)
  return token
}

/** A retry under the same name is the same provision, so it lies between the first asking and the first acknowledgement. */
function provisioned(token: Token, { from, to }: Span): Span {
  const { provision } = token
  token.provision =
    provision === null ? { from, to } : { from: provision.from, to: to < provision.to ? to : provision.to }
  return token.provision
}

function readProvision(entry: Entry, world: World, toleranceNs: bigint): void {
  const token = tokenNamed(entry.token, world)
  const provision = provisioned(token, spanOf(entry))
  if (entry.subject !== undefined) {
    token.subject = entry.subject
    world.subjects.named(entry.subject)
  }
  if (entry.lifetimeMs !== undefined)
    token.expiry = shifted(provision, nanoseconds(entry.lifetimeMs), toleranceNs)
}

/** In order of asking, so a successor's own rotation finds what it inherited. */
function readRotation(entry: Entry, world: World, toleranceNs: bigint): void {
  const token = tokenNamed(entry.token, world)
  token.rotations.push(entry)
  token.switches
    .named('rotated')
    .turn(
      'off',
      entry.graceMs ? shifted(spanOf(entry), nanoseconds(entry.graceMs), toleranceNs) : spanOf(entry),
    )
  if (entry.outcome !== 'ok') return
  const successor = tokenNamed(successorOf(entry), world)
  provisioned(successor, spanOf(entry))
  successor.subject ??= token.subject
  successor.expiry ??= token.expiry
}

function successorOf(rotation: Entry): string {
  const successor = rotation.result?.successor
  if (successor === undefined)
    throw new Error(`The rotation of ${rotation.token} was answered without a successor`)
  return successor
}

function changeToken(entry: Entry, token: Token, world: World): void {
  const effect = spanOf(entry)
  turnSwitch(entry, token, effect)
  for (const { heir, rotation } of heirsOf(token, world)) {
    if (effect.to < rotation.invokedAt) {
      // What was narrowed before stays narrow. Enabling or disabling came before any heir was; revoking, see judgeRotations.
      if (entry.f !== 'narrow') return
      turnSwitch(entry, heir, effect)
    } else if (entry.f !== 'narrow') {
      // A service that rotates in place may have met the heir under its predecessor's id.
      turnSwitch(entry, heir, maybe(effect))
    }
  }
}

function turnSwitch(entry: Entry, token: Token, effect: Span): void {
  if (entry.f === 'revoke') token.switches.named('revoked').turn('off', effect)
  else if (entry.f === 'disable') token.switches.named('disabled').turn('off', effect)
  else if (entry.f === 'enable') token.switches.named('disabled').turn('on', effect)
  else for (const scope of entry.scopes ?? []) token.scopes.named(scope).turn('off', effect)
}

/** The successors, and theirs; not by recursion, for a token may be rotated ten thousand times. */
function* heirsOf(token: Token, world: World): Generator<{ heir: Token; rotation: Entry }> {
  const seen = new Set([token])
  for (const ancestor of seen) {
    for (const rotation of ancestor.rotations) {
      if (rotation.outcome !== 'ok') continue
      const heir = tokenNamed(successorOf(rotation), world)
      if (!seen.has(heir)) yield { heir, rotation }
      seen.add(heir)
    }
  }
}

function changeSubject(entry: Entry, world: World, bySubject: Map<string, Token[]>): void {
  const { subject, f } = entry
  if (subject === undefined) throw new Error('A history names the token of every operation, or the subject')
  const effect = spanOf(entry)
  if (f === 'disable') world.subjects.named(subject).turn('off', effect)
  else if (f === 'enable') world.subjects.named(subject).turn('on', effect)
  else if (f === 'revoke') {
    for (const token of bySubject.get(subject) ?? []) {
      // It takes what exists: surely what was there before it began, surely nothing that began after it ended.
      const born = token.provision ?? { from: NEVER, to: FOREVER }
      if (born.from > effect.to) continue
      token.switches.named('revoked').turn('off', born.to < effect.from ? effect : maybe(effect))
    }
  } else throw new Error(`No invariant speaks of ${f} for a whole subject`)
}

// --- Judging ---

interface Findings {
  violations: Violation[]
  judged: Record<Invariant, number>
  /** Counts a chance to be wrong, and notes it if it was taken. */
  expect(invariant: Invariant, holds: boolean, blame: Omit<Violation, 'invariant'>): void
}

function newFindings(): Findings {
  const violations: Violation[] = []
  const judged = { I1: 0, I2: 0, I3: 0, I4: 0 }
  return {
    violations,
    judged,
    expect(invariant, holds, blame) {
      judged[invariant]++
      if (!holds) violations.push({ invariant, ...blame })
    },
  }
}

function judgeAnswer(entry: Entry, world: World, { expect }: Findings): void {
  if (typeof entry.result?.active !== 'boolean' || entry.returnedAt === null)
    throw new Error(`The introspection ${entry.id} is ok, but says neither active nor inactive`)
  const { active, scopes = [] } = entry.result
  const token = tokenNamed(entry.token, world)
  const during = { from: entry.invokedAt, to: entry.returnedAt }
  const subject = token.subject === undefined ? undefined : world.subjects.get(token.subject)
  const switches = subject
    ? [...token.switches, ['disabled with its subject', subject] as const]
    : [...token.switches]
  const blame = { token: token.name, entry }

  const off = switches.find(([, one]) => one.certainlyOff(during))
  if (off) {
    expect('I1', !active, { ...blame, why: `active after it was ${off[0]}` })
    return
  }

  if (active) {
    const gone = [...token.scopes].filter(([, one]) => one.certainlyOff(during)).map(([scope]) => scope)
    const back = gone.filter((scope) => scopes.includes(scope))
    if (gone.length > 0)
      expect('I1', back.length === 0, { ...blame, why: `${back.join(' ')} granted after it was taken away` })
  }
  const isThere = token.provision !== null && token.provision.to < during.from
  if (isThere && switches.every(([, one]) => one.certainlyOn(during)))
    expect('I2', active, { ...blame, why: 'inactive while it was good' })
}

const switchOf = (token: Token, name: string) => token.switches.get(name) ?? UNTOUCHED

function judgeRotations(world: World, final: FinalState | undefined, { expect }: Findings): void {
  const rowsByPredecessor = new Map<string, string[]>()
  for (const { token, predecessor } of final?.tokens ?? []) {
    if (predecessor === null || predecessor === undefined) continue
    rowsByPredecessor.set(predecessor, [...(rowsByPredecessor.get(predecessor) ?? []), token])
  }
  for (const token of [...world.tokens.values()]) {
    const acknowledged = token.rotations.filter(({ outcome }) => outcome === 'ok')
    for (const rotation of acknowledged) {
      if (switchOf(token, 'revoked').certainlyOff(spanOf(rotation)))
        expect('I1', false, { token: token.name, entry: rotation, why: 'rotated after it was revoked' })
    }
    const told = new Set(acknowledged.map(successorOf))
    const stored = rowsByPredecessor.get(token.name) ?? []
    const all = new Set([...told, ...stored])
    if (token.rotations.length === 0 && all.size === 0) continue
    const isRight =
      all.size <= 1 &&
      (token.rotations.length > 0 || all.size === 0) &&
      (!final || told.size === 0 || stored.length === 1)
    expect('I4', isRight, {
      token: token.name,
      why: `successors told: ${[...told].join(' ') || 'none'}${final ? `; stored: ${stored.join(' ') || 'none'}` : ''}`,
    })
  }
}

const THE_END: Span = { from: FOREVER, to: FOREVER }

function judgeFinalState(world: World, final: FinalState, findings: Findings): void {
  const rowsByName = new Map<string, FinalToken[]>()
  for (const row of final.tokens) rowsByName.set(row.token, [...(rowsByName.get(row.token) ?? []), row])
  for (const token of world.tokens.values()) {
    const rows = rowsByName.get(token.name) ?? []
    judgeExistence(token, rows.length, findings)
    for (const row of rows) judgeRow(token, row, findings)
  }
  if (!final.subjects) return
  const disabledSubjects = new Set(final.subjects.filter((row) => row.disabled).map((row) => row.subject))
  for (const [subject, one] of world.subjects)
    judgeFlag(one, disabledSubjects.has(subject), { token: subject, what: 'subject disabled' }, findings)
}

function judgeExistence(token: Token, rows: number, { expect }: Findings): void {
  const acknowledged = token.provision !== null && token.provision.to < FOREVER
  // What has expired may have been cleaned away.
  const mustExist =
    (acknowledged || switchOf(token, 'revoked').certainlyOff(THE_END)) && token.expiry === null
  const why = rows === 0 ? 'acknowledged, but not in the database' : `${rows} rows for one provision`
  if (mustExist || rows > 1) expect('I3', rows === 1, { token: token.name, why })
}

function judgeRow(token: Token, row: FinalToken, findings: Findings): void {
  // A rotation may be stored as a revocation of the old secret; then `revoked` says nothing against it.
  const mayBeRotated = !switchOf(token, 'rotated').certainlyOn(THE_END)
  if (!(row.revoked && mayBeRotated))
    judgeFlag(switchOf(token, 'revoked'), row.revoked, { token: token.name, what: 'revoked' }, findings)
  if (row.disabled !== undefined)
    judgeFlag(switchOf(token, 'disabled'), row.disabled, { token: token.name, what: 'disabled' }, findings)
  for (const [scope, one] of row.scopes ? token.scopes : []) {
    if (one.certainlyOff(THE_END))
      findings.expect('I3', !row.scopes?.includes(scope), {
        token: token.name,
        why: `${scope} was taken away, but is stored`,
      })
  }
}

function judgeFlag(
  one: Pick<Switch, 'certainlyOff' | 'certainlyOn'>,
  isOff: boolean,
  { token, what }: { token: string; what: string },
  { expect }: Findings,
): void {
  if (one.certainlyOff(THE_END)) expect('I3', isOff, { token, why: `${what}: acknowledged, but not stored` })
  else if (one.certainlyOn(THE_END)) expect('I3', !isOff, { token, why: `${what}: stored, but nobody asked` })
}

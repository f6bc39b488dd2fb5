// The protocol of replicas, message by message, with a PostgreSQL that loses, delays and refuses what a test wants: when a lease
// is earned, what is forgotten before it is confirmed, and what an acknowledgement waits for. The same between
// processes is in test/faults.
import t, { type Test } from 'tap'
import type { Invalidation } from '../../src/db/change.ts'
import type { Listener, ListenerEvents } from '../../src/db/listen.ts'
import type { Trx } from '../../src/db/tables.ts'
import { createLease, holdMs, leaseMs } from '../../src/verify/lease.ts'
import { watchLease } from '../../src/verify/lease-watch.ts'
import { type Announced, createReplicas } from '../../src/verify/replicas.ts'
import { playedDatabase } from '../helpers/played-database.ts'
import { type Time, takeTime, turn } from '../helpers/time.ts'

const heartbeatMs = 500
const token = (n: number) => ({ kind: 'token', id: `tok_${n}` }) as const satisfies Invalidation

/** What a session does with what is sent on it, and what it hears. */
type Health = {
  /** `late`: the server does not answer before it is told to; `refuses`: it says no. */
  asks: 'well' | 'late' | 'refuses'
  /** What passes to the replica. */
  hears: (message: string) => boolean
}

function postgres(t: Test) {
  const time = takeTime(t)
  const sessions = new Set<(message: string) => void>()
  const state = { silent: 0, server: 'one', key: 'key_1' }
  const notify = (message: string) => {
    for (const hear of sessions) hear(message)
  }

  function replica(self: string) {
    const health: Health = { asks: 'well', hears: () => true }
    /** In order: what it forgets, what it sends. */
    const log: string[] = []
    const troubles: string[] = []
    const late: (() => void)[] = []
    let restarts = 0
    let events: ListenerEvents | null = null
    const hear = (message: string) => health.hears(message) && events!.onMessage(message)
    const listener: Listener = {
      async query(_text, values) {
        const message = String(values[1])
        log.push(message)
        if (health.asks === 'refuses') throw new Error('no')
        if (health.asks === 'late') await new Promise<void>((answer) => late.push(answer))
        const row = { ...state, now: time.now() }
        await Promise.resolve()
        notify(message)
        return [row] as never
      },
      restart() {
        restarts += 1
      },
      stop: async () => void sessions.delete(hear),
    }
    const lease = watchLease(createLease(time.now), time.now, { lost() {}, back() {} })
    const replicas = createReplicas({
      listen(given) {
        events = given
        return listener
      },
      self,
      keyId: 'key_1',
      lease,
      monotonic: time.now,
      onForget: (what) => log.push(`forgets ${what.map((one) => ('id' in one ? one.id : one.kind))}`),
      onForgetAll: () => log.push('forgets all'),
      onTrouble: (what) => troubles.push(what),
      sabotage: new Set(),
    })
    return {
      ...replicas,
      lease,
      health,
      log,
      troubles,
      restarts: () => restarts,
      /** What the server has kept back is done and answered. */
      answer() {
        for (const one of late.splice(0)) one()
      },
      hear: (message: string) => events!.onMessage(message),
      up() {
        sessions.add(hear)
        events!.onUp()
      },
      down() {
        sessions.delete(hear)
        events!.onDown(null)
      },
      /** What was sent or forgotten since this was asked the last time. */
      news: () => log.splice(0),
    }
  }

  /** A transaction on a connection to `server`: what it notifies is heard when it is committed. */
  function transaction(server = state.server, refuses = false) {
    const notified: string[] = []
    const asked: string[] = []
    let silently = 0
    const trx = playedDatabase(async ({ sql, parameters }) => {
      asked.push(sql)
      if (refuses) throw new Error('refused')
      if (sql.includes('pg_notify'))
        notified.push(parameters.find((one) => /^i /.test(String(one))) as string)
      if (sql.includes('silent_changes')) silently += 1
      return [{ server }]
    }) as Trx
    const commit = () => {
      state.silent += silently
      for (const message of notified) notify(message)
    }
    return { trx, asked, notified, commit }
  }

  return { ...time, state, notify, replica, transaction }
}

/** Some that have heard of each other for longer than a lease. */
async function longTogether(t: Test, ...names: string[]) {
  const stage = postgres(t)
  const all = names.map((name) => stage.replica(name))
  for (const one of all) one.up()
  await beats(stage, 6)
  for (const one of all) one.news()
  return { ...stage, all }
}

async function beats(time: Time, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    await turn()
    time.pass(heartbeatMs)
  }
  await turn()
}

/** Whether it is over, as far as it can be by now. */
async function isOver(promise: Promise<unknown>): Promise<boolean> {
  await turn()
  return Promise.race([promise.then(() => true), turn().then(() => false)])
}

/** A change that is committed, and the wait for its acknowledgement. */
async function changed(
  by: { announce(trx: Trx, what: readonly Invalidation[], silent: boolean): Promise<Announced> } & {
    settled(announced: Announced): Promise<void>
  },
  { trx, commit }: { trx: Trx; commit(): void },
  { what = [token(1)], silent = false }: { what?: readonly Invalidation[]; silent?: boolean } = {},
): Promise<Promise<void>[]> {
  const announced = await by.announce(trx, what, silent)
  commit()
  return [by.settled(announced)]
}

t.test('a lease is earned by a heartbeat that comes round, from when it was sent', async (t) => {
  const { replica, now, pass, notify } = postgres(t)
  const one = replica('rep_a')
  one.health.hears = (message) => message !== 'h rep_a 1'
  one.up()
  await turn()
  t.notOk(one.lease.holds(), 'that the server answers proves nothing')
  notify('h rep_b 1')
  notify('h rep_a 2')
  t.notOk(one.lease.holds(), 'nor does the heartbeat of another, or another heartbeat')
  const sentAt = now()
  pass(400)
  one.hear('h rep_a 1')
  t.ok(one.lease.holds())
  one.health.hears = () => false
  pass(sentAt + leaseMs - now() - 1)
  t.ok(one.lease.holds())
  pass(1)
  t.notOk(one.lease.holds())
})

t.test('a machine that sleeps between a heartbeat and its echo has earned nothing by it', async (t) => {
  const { replica, sleep } = postgres(t)
  const one = replica('rep_a')
  one.health.hears = () => false
  one.up()
  await turn()
  sleep(60_000)
  one.hear('h rep_a 1')
  t.notOk(one.lease.holds())
})

t.test('a heartbeat that only comes round earns nothing before its answer is there', async (t) => {
  const { replica } = postgres(t)
  const one = replica('rep_a')
  one.health.asks = 'late'
  one.up()
  one.hear('h rep_a 1')
  await turn()
  t.notOk(one.lease.holds(), 'of changes that could not be announced is not known')
})

t.test(
  'a session on which no heartbeat comes round is given up, and so is one that refuses it',
  async (t) => {
    const stage = postgres(t)
    const deaf = stage.replica('rep_a')
    deaf.up()
    await beats(stage, 3)
    t.equal(deaf.restarts(), 0)
    deaf.health.hears = () => false
    await beats(stage, 2)
    t.equal(deaf.restarts(), 0, 'it may be slow')
    await beats(stage, 2)
    t.ok(deaf.restarts() > 0)

    const refused = stage.replica('rep_b')
    refused.health.asks = 'refuses'
    refused.up()
    await turn()
    t.equal(refused.restarts(), 1)
    t.same(refused.troubles, ['A heartbeat failed'])
  },
)

t.test('a new session forgets everything, and what was sent on the former earns nothing on it', async (t) => {
  const { replica, pass, notify } = postgres(t)
  const one = replica('rep_a')
  one.health.hears = () => false
  one.up()
  await turn()
  one.down()
  pass(3 * heartbeatMs)
  await turn()
  t.same(one.news(), ['forgets all', 'h rep_a 1'], 'while there is none, nothing is sent')
  one.health.asks = 'late'
  one.up()
  t.same(one.news(), ['forgets all', 'h rep_a 2'])
  one.health.hears = () => true
  notify('h rep_a 1')
  await turn()
  t.notOk(one.lease.holds())
})

t.test('a heartbeat that is answered when its session is gone earns nothing', async (t) => {
  const { replica } = postgres(t)
  const one = replica('rep_a')
  one.health.asks = 'late'
  one.up()
  one.hear('h rep_a 1')
  one.down()
  one.up()
  one.answer()
  one.health.hears = () => false
  await turn()
  t.notOk(one.lease.holds())
})

t.test('that a heartbeat of the former session fails is no reason to give up the new one', async (t) => {
  const { replica } = postgres(t)
  const one = replica('rep_a')
  one.health.asks = 'refuses'
  one.up()
  one.down()
  one.health.asks = 'well'
  one.up()
  await turn()
  t.equal(one.restarts(), 0)
  t.ok(one.lease.holds())
})

t.test(
  'what is announced is forgotten before it is confirmed, and everybody’s own is not confirmed',
  async (t) => {
    const { notify, all } = await longTogether(t, 'rep_a')
    notify('i rep_b rep_b-1 [{"kind":"token","id":"tok_1"},{"kind":"services"}]')
    notify('i rep_a rep_a-9 [{"kind":"subject","id":"user_1"}]')
    await turn()
    t.same(all[0]!.news(), ['forgets tok_1,services', 'forgets user_1', 'c rep_a rep_b-1'])
  },
)

t.test('what a later version announces, and what nobody understands, is about everything', async (t) => {
  const { notify, all } = await longTogether(t, 'rep_a')
  for (const what of [
    '[{"kind":"weather"}]',
    '[{"kind":"token","id":"tok_1"},{"kind":"weather"}]',
    '[]',
    '[{"kind":"token"',
    '{}',
    'null',
    '',
  ]) {
    notify(`i rep_b rep_b-1 ${what}`)
    await turn()
    t.same(all[0]!.news(), ['forgets all', 'c rep_a rep_b-1'], what)
  }
})

t.test('confirmations that fall due together go in few messages, and none is left out', async (t) => {
  const { notify, all } = await longTogether(t, 'rep_a')
  for (let n = 1; n <= 250; n++) notify(`i rep_b rep_b-${n} [{"kind":"token","id":"tok_${n}"}]`)
  for (let n = 0; n < 4; n++) await turn()
  const sent = all[0]!.news().filter((one) => one.startsWith('c '))
  t.equal(sent.length, 3)
  t.same(
    sent.flatMap((one) => one.split(' ').slice(2)),
    Array.from({ length: 250 }, (_, n) => `rep_b-${n + 1}`),
  )
  t.ok(sent.every((one) => one.length < 7_900))
})

t.test('a replica that cannot confirm goes on', async (t) => {
  const { notify, all } = await longTogether(t, 'rep_a')
  all[0]!.health.asks = 'refuses'
  notify('i rep_b rep_b-1 [{"kind":"token","id":"tok_1"}]')
  await turn()
  t.equal(all[0]!.restarts(), 0)
})

t.test('a change is acknowledged when all that were heard of have confirmed, and not before', async (t) => {
  const { transaction, notify, all } = await longTogether(t, 'rep_a', 'rep_b', 'rep_c')
  const [by, late] = [all[0]!, all[2]!]
  late.health.asks = 'late'
  const [settled] = await changed(by, transaction())
  t.notOk(await isOver(settled!))
  t.same(all[1]!.news(), ['forgets tok_1', 'c rep_b rep_a-1'])
  notify('c rep_b rep_a-1')
  notify('c rep_x rep_a-1')
  notify('c rep_c rep_a-2')
  notify('c rep_c rep_b-1')
  t.notOk(await isOver(settled!), 'nor by what others say, or about others')
  notify('c rep_c rep_b-1 rep_a-1')
  t.ok(await isOver(settled!))
})

t.test('a replica that does not confirm is waited for until its lease is over, and no longer', async (t) => {
  const { transaction, pass, all } = await longTogether(t, 'rep_a', 'rep_b')
  all[1]!.health.hears = () => false
  all[1]!.health.asks = 'late'
  pass(300)
  const [settled] = await changed(all[0]!, transaction())
  t.notOk(await isOver(settled!))
  pass(leaseMs - 301)
  t.notOk(await isOver(settled!))
  t.ok(all[1]!.lease.holds())
  pass(50)
  t.ok(await isOver(settled!), 'though less than a lease has passed since the change')
  t.notOk(all[1]!.lease.holds())
})

t.test('a replica that was silent for nearly a lease is still waited for, with each change', async (t) => {
  const { transaction, pass, all } = await longTogether(t, 'rep_a', 'rep_b')
  all[1]!.health.hears = () => false
  all[1]!.health.asks = 'late'
  pass(leaseMs - 100)
  const waiting = [...(await changed(all[0]!, transaction())), ...(await changed(all[0]!, transaction()))]
  for (const one of waiting) t.notOk(await isOver(one))
  pass(150)
  for (const one of waiting) t.ok(await isOver(one))
})

t.test('a replica whose lease is over is not waited for, nor is one that said goodbye', async (t) => {
  const stage = await longTogether(t, 'rep_a', 'rep_b', 'rep_c')
  const [by, gone, leaving] = stage.all
  gone!.health.asks = 'late'
  leaving!.health.asks = 'late'
  const [waiting] = await changed(by!, stage.transaction())
  t.notOk(await isOver(waiting!))
  stage.notify('b rep_c')
  t.notOk(await isOver(waiting!))
  stage.notify('b rep_b')
  t.ok(await isOver(waiting!), 'also while it is waited for')
  t.ok(await isOver((await changed(by!, stage.transaction()))[0]!))

  stage.notify('h rep_b 99')
  stage.notify('h rep_c 99')
  t.notOk(await isOver((await changed(by!, stage.transaction()))[0]!))
  await beats(stage, 4)
  for (const strange of ['', 'b', 'c', 'h']) stage.notify(strange)
  t.ok(await isOver((await changed(by!, stage.transaction()))[0]!), 'nor anybody who is none of us')
})

t.test('who has listened for less than a lease cannot know of everybody, and waits for it all', async (t) => {
  const stage = postgres(t)
  const one = stage.replica('rep_a')
  one.up()
  await beats(stage, 3)
  const [settled] = await changed(one, stage.transaction())
  await beats(stage, 3)
  t.notOk(await isOver(settled!))
  await beats(stage, 2)
  t.ok(await isOver(settled!))
})

t.test('who does not hear its own announcement waits a whole lease', async (t) => {
  const stage = await longTogether(t, 'rep_a')
  stage.all[0]!.health.hears = (message) => !message.startsWith('i ')
  const [settled] = await changed(stage.all[0]!, stage.transaction())
  stage.pass(leaseMs - 1)
  t.notOk(await isOver(settled!))
  stage.pass(50)
  t.ok(await isOver(settled!))
})

t.test(
  'a change that cannot be announced waits a lease, in which everybody forgets everything',
  async (t) => {
    const stage = await longTogether(t, 'rep_a', 'rep_b')
    const [by, other] = stage.all
    const trx = stage.transaction()
    const [settled] = await changed(by!, trx, { silent: true })
    t.same(trx.notified, [])
    t.notOk(await isOver(settled!))
    // The echo comes first, but the lease is earned when all is forgotten.
    const grant = other!.lease.grant
    other!.lease.grant = (...given) => {
      other!.log.push('lease')
      grant(...given)
    }
    await beats(stage, 1)
    t.same(
      other!.news().filter((one) => !one.startsWith('h ')),
      ['forgets all', 'lease'],
    )
    await beats(stage, 1)
    t.notOk(other!.news().includes('forgets all'), 'once')
    stage.pass(leaseMs - 2 * heartbeatMs - 1)
    t.notOk(await isOver(settled!))
    stage.pass(50)
    t.ok(await isOver(settled!))
  },
)

t.test('more than a message can carry is announced as everything', async (t) => {
  const { transaction, all } = await longTogether(t, 'rep_a', 'rep_b')
  const trx = transaction()
  const [settled] = await changed(all[0]!, trx, { what: Array.from({ length: 1_000 }, (_, n) => token(n)) })
  t.ok(trx.notified[0]!.length < 8_000)
  t.ok(await isOver(settled!))
  t.equal(all[1]!.news()[0], 'forgets all')
})

t.test('a transaction that cannot announce fails, and one after it is not harmed', async (t) => {
  const { transaction, all } = await longTogether(t, 'rep_a')
  await t.rejects(all[0]!.announce(transaction('one', true).trx, [token(1)], false), { message: 'refused' })
  const trx = transaction()
  all[0]!.withdraw(await all[0]!.announce(trx.trx, [token(1)], false))
  trx.commit()
  t.ok(await isOver((await changed(all[0]!, transaction()))[0]!))
})

t.test('no change is made on another server than the one that earns the lease', async (t) => {
  const { replica, transaction, state } = postgres(t)
  const one = replica('rep_a')
  const early = transaction('two')
  await one.admit(early.trx)
  one.up()
  await turn()
  t.equal(one.server(), state.server)
  await one.admit(transaction().trx)
  const former = transaction('two')
  await t.rejects(one.admit(former.trx), { code: 'ECONNRESET' })
  t.match(former.asked.at(-1), 'pg_terminate_backend', 'that connection is of no use any more')
})

t.test(
  'the server is known to be the one that counts by a heartbeat that is sent from then on',
  async (t) => {
    const stage = await longTogether(t, 'rep_a')
    const one = stage.all[0]!
    one.health.hears = () => false
    stage.pass(heartbeatMs)
    await turn()
    const sent = one.news().at(-1)!
    stage.pass(1)
    const confirmed = one.confirm()
    stage.pass(20)
    one.hear(sent)
    t.notOk(await isOver(confirmed), 'not by one that is under way')
    one.health.hears = () => true
    stage.pass(20)
    t.ok(await isOver(confirmed))
    t.equal(await confirmed, true)

    one.health.hears = () => false
    const inVain = one.confirm()
    stage.pass(holdMs)
    t.equal(await inVain, false)
  },
)

t.test(
  'that there is no such token is not known to one without the newest key, which says so once',
  async (t) => {
    const stage = await longTogether(t, 'rep_a')
    const one = stage.all[0]!
    const isKnown = async () => {
      const confirmed = one.confirm()
      stage.pass(20)
      await turn()
      return confirmed
    }
    t.equal(await isKnown(), true)
    stage.state.key = 'key_2'
    for (let times = 0; times < 3; times++) t.equal(await isKnown(), false)
    t.ok(one.lease.holds(), 'what it finds, it knows')
    t.match(one.troubles, [/newer LATCHKEY_SECRET/])
    t.equal(one.troubles.length, 1)
  },
)

t.test('a replica is ready when it holds a lease, and does not start without one', async (t) => {
  const stage = postgres(t)
  const one = stage.replica('rep_a')
  const ready = one.ready()
  t.notOk(await isOver(ready))
  one.up()
  t.ok(await isOver(ready))

  const deaf = stage.replica('rep_b')
  deaf.health.hears = () => false
  deaf.up()
  const refused = t.rejects(deaf.ready(), { message: /No heartbeat came back/ })
  for (let n = 0; n < 6; n++) {
    await turn()
    stage.pass(holdMs)
  }
  await refused
})

t.test('a replica that stops has no lease any more when it says so', async (t) => {
  const { all } = await longTogether(t, 'rep_a')
  const [one] = all
  let heldAtGoodbye: boolean | null = null
  one!.health.hears = (message) => {
    if (message === 'b rep_a') heldAtGoodbye = one!.lease.holds()
    return false
  }
  await one!.stop()
  t.equal(heldAtGoodbye, false)
})

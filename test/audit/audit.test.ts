// The record of what happened: one event for each change, in its transaction, never altered, found by what it is about.
import { sql } from 'kysely'
import t from 'tap'
import { type AuditEvent, auditActions } from '../../src/audit/events.ts'
import { basic, engines, provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'
import { everyRow } from '../helpers/rows.ts'

type Shown = {
  id: string
  at: string
  action: AuditEvent['action']
  actor: string
  actorTokenId: string | null
  tokenId: string | null
  subject: string | null
  serviceId: string | null
  requestId: string | null
  clientIp: string | null
  detail: Record<string, unknown>
}

for (const engine of engines) {
  t.test(engine, async (t) => {
    const latchkey = await startLatchkey(t, engine)
    const { call, form, clock } = latchkey
    const { db } = latchkey.running.store
    const posts = await registerPosts(latchkey)
    const read = async (query: string) => (await call('GET', `/api/v1/audit-events?${query}`)).body as Shown[]
    // Refused checks are left out where changes are counted: they are written now and then.
    const newest = async (action: string) => (await read(`limit=1&action=${action}`))[0]!
    const events = async () =>
      Number(
        (
          await sql<{ n: number }>`select count(*)::int as n from audit_event
            where action <> 'token.refused'`.execute(db)
        ).rows[0]!.n,
      )
    const admin = (await call('GET', '/api/v1/tokens/self')).body.id as string
    const group = { id: 'g', title: 'G' }

    /** Every way to change something, each with the event that it leaves. */
    async function changes() {
      const made = await provision(latchkey)
      const other = await provision(latchkey)
      const self = await provision(latchkey)
      const paused = await provision(latchkey)
      await call('POST', `/api/v1/tokens/${paused.id}/disable`)
      await call('POST', '/api/v1/services', { id: 'shop', name: 'Shop', clientSecret: 'brought-by-hand' })
      const credential = (
        await call('POST', '/api/v1/services/shop/credentials', { clientSecret: 'another-one-x' })
      ).body
      const path = `/api/v1/tokens/${made.id}`
      const trust = {
        name: 'x',
        issuer: 'https://gitlab.com',
        scopes: ['posts:read'],
        conditions: { project_id: '1', namespace_id: '2', ref_protected: 'true' },
      }
      let trusted = (await call('POST', '/api/v1/trust-policies', trust)).body.id
      const list: [AuditEvent['action'], Partial<Shown>, () => Promise<{ status: number }>][] = [
        [
          'token.provisioned',
          { subject: 'user_9' },
          () => call('POST', '/api/v1/tokens', { name: 'x', subject: 'user_9' }),
        ],
        [
          'token.updated',
          { tokenId: made.id, subject: 'user_42', detail: { name: 'y', changed: ['name'] } },
          () => call('PATCH', path, { name: 'y' }),
        ],
        [
          'token.updated',
          {
            tokenId: made.id,
            detail: { scopes: [], ip_ranges: ['10.0.0.1'], changed: ['scopes', 'ipRestriction'] },
          },
          () => call('PATCH', path, { scopes: [], ipRestriction: '10.0.0.1' }),
        ],
        [
          'token.rotated',
          { tokenId: made.id, subject: 'user_42', detail: { secretVersion: 2, previousHint: made.hint } },
          () => call('POST', `${path}/rotate`),
        ],
        [
          'token.disabled',
          { tokenId: other.id, actor: 'admin' },
          () => call('POST', `/api/v1/tokens/${other.id}/disable`),
        ],
        [
          'token.enabled',
          { tokenId: paused.id, actor: 'admin' },
          () => call('POST', `/api/v1/tokens/${paused.id}/enable`),
        ],
        ['token.revoked', { tokenId: made.id, subject: 'user_42' }, () => call('DELETE', path)],
        [
          'token.revoked',
          { tokenId: self.id, actor: 'user_42', actorTokenId: self.id },
          () => call('DELETE', '/api/v1/tokens/self', undefined, { token: self.token }),
        ],
        [
          'token.revoked',
          { tokenId: other.id, actor: 'posts', actorTokenId: null },
          () => form('/oauth2/revoke', { token: other.token }, basic(posts.id, posts.secret)),
        ],
        [
          'subject.updated',
          { subject: 'user_9', detail: { disabled: true, scopeCap: null } },
          () => call('PATCH', '/api/v1/subjects/user_9', { disabled: true }),
        ],
        [
          'subject.updated',
          { subject: 'new_one', detail: { disabled: false, scopeCap: ['posts:read'] } },
          () => call('PATCH', '/api/v1/subjects/new_one', { scopeCap: ['posts:read'] }),
        ],
        [
          'service.registered',
          { serviceId: 'depot' },
          () =>
            call('POST', '/api/v1/services', { id: 'depot', name: 'Depot', clientSecret: 'brought-by-hand' }),
        ],
        [
          'service.credential_added',
          { serviceId: 'depot' },
          () => call('POST', '/api/v1/services/depot/credentials', { clientSecret: 'brought-by-hand-2' }),
        ],
        [
          'service.credential_removed',
          { serviceId: 'shop', detail: { credentialId: credential.id } },
          () => call('DELETE', `/api/v1/services/shop/credentials/${credential.id}`),
        ],
        [
          'service.scopes_declared',
          { serviceId: 'shop', detail: { scopes: ['shop:read'] } },
          () =>
            call('PUT', '/api/v1/services/shop/scopes', {
              groups: [group],
              scopes: [{ name: 'shop:read', title: 'R', group: 'g' }],
            }),
        ],
        [
          'service.openapi_published',
          { serviceId: 'shop', detail: { version: '1', added: 0, digest: /^sha256:/ } },
          () =>
            call('PUT', '/api/v1/services/shop/openapi', {
              openapi: '3.1.0',
              info: { title: 'Shop', version: '1' },
              paths: {},
            }),
        ],
        [
          'service.updated',
          { serviceId: 'shop', detail: { name: 'Shop 2', baseUrl: null, checksIp: false } },
          () => call('PATCH', '/api/v1/services/shop', { name: 'Shop 2' }),
        ],
        ['service.removed', { serviceId: 'shop' }, () => call('DELETE', '/api/v1/services/shop')],
        [
          'trust_policy.created',
          { subject: 'ci_x', detail: { policyId: /^pol_/, scopes: ['posts:read'] } as never },
          async () => {
            const answer = await call('POST', '/api/v1/trust-policies', { ...trust, subject: 'ci_x' })
            trusted = answer.body.id ?? trusted
            return answer
          },
        ],
        [
          'trust_policy.updated',
          { subject: 'ci_x', detail: { name: 'y' } },
          () => call('PATCH', `/api/v1/trust-policies/${trusted}`, { name: 'y' }),
        ],
        [
          'trust_policy.removed',
          { subject: 'ci_x' },
          () => call('DELETE', `/api/v1/trust-policies/${trusted}`),
        ],
      ]
      const tidy = () => call('DELETE', '/api/v1/services/depot')
      return { list, tidy }
    }

    t.test('a change whose record cannot be written is not made, whatever the change', async (t) => {
      const { list } = await changes()
      const before = await everyRow(db)
      await sql`
        create function no_audit() returns trigger language plpgsql as $$
        begin raise exception 'the audit log is full'; end $$`.execute(db)
      await sql`create trigger no_audit before insert on audit_event for each row execute function no_audit()`.execute(
        db,
      )
      for (const [action, , change] of list) {
        if (action === 'service.credential_added') continue // its service was not registered
        t.equal((await change()).status, 500, action)
      }
      t.equal(await everyRow(db), before, 'nothing was written')
      const { token } = await call('POST', '/api/v1/verify', { token: latchkey.admin }).then(
        ({ body }) => body,
      )
      t.ok(token, 'checks go on')
      await sql`drop trigger no_audit on audit_event`.execute(db)
      await sql`drop function no_audit`.execute(db)
      await call('DELETE', '/api/v1/services/shop')
    })

    t.test(
      'every change leaves one event, that says what, by whom, to what and with which request',
      async (t) => {
        const { list, tidy } = await changes()
        for (const [action, expected, change] of list) {
          const before = await events()
          clock.now += 1
          t.equal((await change()).status, 200, action)
          t.equal(await events(), before + 1, `${action}: one event`)
          const event = await newest(action)
          t.match(event, { action, actor: 'admin', actorTokenId: admin, ...expected }, action)
          t.equal(event.at, new Date(clock.now).toISOString())
          t.match(event, { id: /^evt_[0-9a-z]{26}$/, requestId: /^req_/, clientIp: '127.0.0.1' })
        }
        // Some are no request's change: checks and exchanges that were refused, and the end that comes by a first use.
        const others = ['token.refused', 'token.secret_ended', 'exchange.refused']
        const seen = new Set([...list.map(([action]) => action), ...others])
        const never = auditActions.filter((action) => !seen.has(action))
        t.strictSame(never, [])
        await tidy()
      },
    )

    t.test('what changes nothing leaves no event', async (t) => {
      const made = await provision(latchkey)
      await call('DELETE', `/api/v1/tokens/${made.id}`)
      await latchkey.running.flushUsage()
      const before = await everyRow(db)
      for (const [status, method, path, body] of [
        [200, 'DELETE', `/api/v1/tokens/${made.id}`],
        [409, 'PATCH', `/api/v1/tokens/${made.id}`, { name: 'x' }],
        [404, 'DELETE', '/api/v1/tokens/tok_unknown'],
        [400, 'POST', '/api/v1/tokens', { name: '' }],
        [400, 'POST', '/api/v1/tokens', { name: 'x', scopes: ['no:such'], subject: 'brand_new' }],
        [409, 'POST', '/api/v1/services', { id: 'posts', name: 'x' }],
        [404, 'DELETE', '/api/v1/services/unknown'],
        [200, 'GET', '/api/v1/tokens'],
        [200, 'POST', '/api/v1/verify', { token: made.token }],
      ] as const)
        t.equal((await call(method, path, body)).status, status, `${method} ${path}`)
      t.equal(await everyRow(db), before)
    })

    t.test('an event says with whose request id it came', async (t) => {
      clock.now += 1
      await call('POST', '/api/v1/tokens', { name: 'x' }, { headers: { 'x-request-id': 'deploy-42' } })
      t.equal((await newest('token.provisioned')).requestId, 'deploy-42')
    })

    t.test('events are found by token, subject, service, action and time, newest first', async (t) => {
      const made = await provision(latchkey, { subject: 'found_1' })
      clock.now += 1_000
      const since = new Date(clock.now).toISOString()
      await call('PATCH', `/api/v1/tokens/${made.id}`, { name: 'later' })
      clock.now += 1_000
      await call('PATCH', '/api/v1/subjects/found_1', { disabled: true })
      const actions = async (query: string) => (await read(query)).map((event) => event.action).join(' ')
      t.equal(await actions(`tokenId=${made.id}`), 'token.updated token.provisioned')
      t.equal(await actions('subject=found_1'), 'subject.updated token.updated token.provisioned')
      t.equal(await actions('subject=found_1&action=token.updated'), 'token.updated')
      t.equal(
        await actions(`subject=found_1&since=${since}`),
        'subject.updated token.updated',
        'that time included',
      )
      t.equal(await actions(`subject=found_1&since=${new Date(clock.now + 1).toISOString()}`), '')
      t.strictSame((await actions('serviceId=posts')).split(' ').sort(), [
        'service.registered',
        'service.scopes_declared',
      ])
      t.equal(await actions(`tokenId=${made.id}&subject=user_42`), '')
      t.equal(await actions("subject=found_1' or '1'='1"), '')
      for (const query of [
        'action=token.stolen',
        'since=yesterday',
        'until=x',
        'limit=0',
        'subject=a&subject=b',
      ])
        t.equal((await call('GET', `/api/v1/audit-events?${query}`)).status, 400, query)
    })

    t.test('a walk through the events meets each one once while new ones come', async (t) => {
      for (let n = 0; n < 7; n++) {
        clock.now += 1
        await provision(latchkey, { subject: 'walked' })
      }
      const all = (await read('subject=walked&limit=100')).map((event) => event.id)
      const met: string[] = []
      for (let next: string | null = '/api/v1/audit-events?subject=walked&limit=3'; next !== null; ) {
        const answer = await call('GET', next)
        met.push(...answer.body.map((event: Shown) => event.id))
        const link: string | null = answer.headers.get('link')
        if (link !== null) t.ok(link.startsWith(`<${latchkey.running.issuer}/api/v1/audit-events?`))
        next = link === null ? null : link.slice(1, link.indexOf('>')).slice(latchkey.running.issuer.length)
        clock.now += 1
        await provision(latchkey, { subject: 'walked' })
        if (next !== null) {
          const changed = next.replace('subject=walked', 'subject=other')
          t.equal((await call('GET', changed)).status, 400, 'a cursor is for one list')
        }
      }
      t.strictSame(met, all)
    })

    t.test(
      'refused checks of a token are counted, and recorded at the next flush, never one by one',
      async (t) => {
        await latchkey.running.flushUsage()
        const { id, token } = await provision(latchkey, { subject: 'refused_1', ipRestriction: '10.0.0.1' })
        const check = (more: Record<string, string>) =>
          form('/oauth2/introspect', { token, ...more }, basic(posts.id, posts.secret))
        for (let n = 0; n < 3; n++) await check({ client_ip: '192.0.2.1' })
        await check({ client_ip: '10.0.0.1', scope: 'posts:write' })
        await check({ client_ip: '10.0.0.1' })
        await call('DELETE', `/api/v1/tokens/${id}`)
        await check({})
        await latchkey.running.flushUsage()
        const refused = await read(`tokenId=${id}&action=token.refused`)
        const counts = new Map<string, number>()
        for (const { detail } of refused) {
          const code = String(detail['code'])
          counts.set(code, (counts.get(code) ?? 0) + Number(detail['count']))
        }
        t.strictSame([...counts].sort(), [
          ['ip_not_allowed', 3],
          ['missing_scope', 1],
          ['revoked', 1],
        ])
        for (const event of refused)
          t.match(event, { actor: 'latchkey', subject: 'refused_1', requestId: null })
        await latchkey.running.flushUsage()
        t.equal((await read(`tokenId=${id}&action=token.refused`)).length, refused.length, 'recorded once')
      },
    )

    t.test('an event is never changed or deleted, not even by the owner of the database', async (t) => {
      const before = await everyRow(db)
      await t.rejects(sql`update audit_event set actor = 'nobody'`.execute(db), /never changed/)
      await t.rejects(
        sql`update audit_event set detail = '{}' where action = 'token.revoked'`.execute(db),
        /never changed/,
      )
      await t.rejects(sql`delete from audit_event`.execute(db), /never changed/)
      t.equal(await everyRow(db), before)
    })
  })
}

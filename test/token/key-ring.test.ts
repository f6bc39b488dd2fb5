// The keys of digests follow one another, and which is the newest is known by that.
import t from 'tap'
import { openKeyRing } from '../../src/token/key-ring.ts'
import { freshStore } from '../helpers/latchkey.ts'

t.test('the key made last is the newest, on a machine whose clock is behind, too', async (t) => {
  const { db, close } = await freshStore(t, 'pglite', undefined)
  t.teardown(close)
  const at = Date.parse('2026-11-22T12:00:00Z')
  const former = { current: 'former', previous: null }
  const both = { current: 'new', previous: 'former' }
  await openKeyRing(db, former, new Date(at))
  const made = await openKeyRing(db, both, new Date(at - 60_000))
  const { newest } = await db
    .selectFrom('digest_key')
    .select((eb) => eb.fn.max('id').as('newest'))
    .executeTakeFirstOrThrow()
  t.equal(newest, made.currentId)
  t.equal((await openKeyRing(db, both, new Date(at + 1))).currentId, made.currentId)
  await t.rejects(openKeyRing(db, former, new Date(at + 1)), {
    message: /^LATCHKEY_SECRET is not the secret/,
  })
})

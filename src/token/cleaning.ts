// Takes away what is over and of no more use to anybody: a job, because reading never writes.
import type { Db } from '../db/tables.ts'

/** For so long, the use of a secret that was replaced is recorded as such; later it is unknown like any other string. */
const endedKeptDays = 90
const most = 10_000

/** @returns how many rows went */
export async function cleanTokens(db: Db, now: Date): Promise<number> {
  const replays = await db
    .deleteFrom('replay')
    .where('id', 'in', (over) =>
      over.selectFrom('replay').select('id').where('expires_at', '<=', now).limit(most),
    )
    .executeTakeFirst()
  const longAgo = new Date(now.getTime() - endedKeptDays * 86_400_000)
  const secrets = await db
    .deleteFrom('token_secret')
    .where('digest', 'in', (over) =>
      over.selectFrom('token_secret').select('digest').where('ends_at', '<=', longAgo).limit(most),
    )
    .executeTakeFirst()
  return Number(replays.numDeletedRows + secrets.numDeletedRows)
}

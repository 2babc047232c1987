import type { H3Event } from 'h3'
import { Redis } from 'ioredis'
import { randomUUID } from 'node:crypto'
import { getUserSessionId, refreshUserSession } from 'nuxt-oidc-auth/runtime/server/utils/session.js'

const lead = 5 // seconds before the end of an access token
const longest = 30_000 // milliseconds that a refresh may take

const redis = process.env.SESSION_REDIS_URL ? new Redis(process.env.SESSION_REDIS_URL) : undefined
const held = new Set<string>() // the locks where sessions are in memory

// refreshOnce renews the access token of the request's session shortly before
// its end, one request at a time over all replicas. It comes ahead of the
// module's own refresh, which takes no lock. It returns why there is no new
// token, and throws where the store fails.
export async function refreshOnce(event: H3Event): Promise<unknown> {
  const id = await getUserSessionId(event)
  // The tests' control.
  if (process.env.WITHOUT_LOCK || !(await nearEnd(id))) {
    return
  }
  const release = await lock(`${process.env.SESSION_REDIS_PREFIX}:lock:${id}`)
  try {
    if (await nearEnd(id)) {
      return await refreshUserSession(event).then(() => undefined, (error) => error)
    }
  } finally {
    await release()
  }
}

async function nearEnd(id: string) {
  const session = await useStorage('oidc').getItem<{ exp: number }>(id)
  return session !== null && session.exp <= Date.now() / 1000 + lead
}

async function lock(key: string) {
  const mine = randomUUID()
  const end = Date.now() + longest
  while (redis ? !(await redis.set(key, mine, 'PX', longest, 'NX')) : held.has(key)) {
    if (Date.now() > end) {
      throw createError({ statusCode: 503 })
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  held.add(key)
  return async () => {
    held.delete(key)
    // A lock that ran out may be another's by now.
    await redis?.eval('if redis.call("get", KEYS[1]) == ARGV[1] then redis.call("del", KEYS[1]) end', 1, key, mine)
  }
}

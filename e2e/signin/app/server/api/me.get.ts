// Who the user is, as platform-api says.
export default defineEventHandler(async (event) => {
  return await $fetch(`${process.env.PLATFORM_API_INTERNAL_URL}/me`, {
    headers: { authorization: `Bearer ${await storedToken(event, 'accessToken')}` },
  })
})

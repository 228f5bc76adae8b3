#!/bin/bash
set -e

echo "🔄 Тестирование миграции базы данных"
echo "====================================="

# 1. Проверка текущего состояния
echo "1️⃣ Проверка текущего состояния базы данных..."
docker exec wweb-mcp-instance-manager-1 psql $DATABASE_URL -c "
SELECT table_name 
FROM information_schema.tables 
WHERE table_schema = 'public' 
AND table_name LIKE '%instances%';"

# 2. Создание тестовых данных (если нужно)
echo "2️⃣ Создание тестовых данных..."
docker exec wweb-mcp-instance-manager-1 psql $DATABASE_URL -c "
INSERT INTO public.whatsappweb_instances (user_id, provider, type_instance) 
VALUES ('test-migration-user', 'whatsappweb', ARRAY['api'])
ON CONFLICT DO NOTHING;"

# 3. Применение миграции
echo "3️⃣ Применение миграции разделения таблиц..."
docker exec wweb-mcp-instance-manager-1 psql $DATABASE_URL -f /app/db/migrations/versions/001_split_provider_tables.sql || echo "Миграция уже применена"

# 4. Проверка результатов миграции
echo "4️⃣ Проверка результатов миграции..."
docker exec wweb-mcp-instance-manager-1 psql $DATABASE_URL -c "
SELECT table_name, table_schema 
FROM information_schema.tables 
WHERE table_schema = 'public' 
AND table_name LIKE '%instances%'
ORDER BY table_name;"

# 5. Проверка VIEW all_instances
echo "5️⃣ Проверка VIEW all_instances..."
docker exec wweb-mcp-instance-manager-1 psql $DATABASE_URL -c "
SELECT provider, COUNT(*) as count 
FROM public.all_instances 
GROUP BY provider;"

# 6. Тест rollback (опционально)
if [ "$1" = "test-rollback" ]; then
    echo "6️⃣ Тестирование rollback..."
    docker exec wweb-mcp-instance-manager-1 psql $DATABASE_URL -f /app/db/migrations/versions/001_split_provider_tables_rollback.sql
    
    echo "Проверка после rollback:"
    docker exec wweb-mcp-instance-manager-1 psql $DATABASE_URL -c "
    SELECT table_name 
    FROM information_schema.tables 
    WHERE table_schema = 'public' 
    AND table_name LIKE '%instances%';"
fi

echo "✅ Тестирование миграции завершено"
